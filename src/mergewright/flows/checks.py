"""Finds a project's own checks from its files."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from mergewright.domain.session import JSON
from mergewright.flows.ci_file import ci_commands

READ_FOR_CHECKS = (
    ".gitlab-ci.yml",
    "pyproject.toml",
    "setup.cfg",
    "package.json",
    "Makefile",
    "composer.json",
)
"""The files whose text decides; of the others it is enough that they are there."""

TOOLS = ("python3", "node", "npm", "go", "cargo", "perl", "prove", "make", "php", "composer", "mix", "ruby", "ruff")
"""The programs that are looked for before the model starts."""


@dataclass(frozen=True, slots=True)
class Check:
    """A command that tells whether the project is well, and where it was found."""

    command: str
    source: str

    def encode(self) -> dict[str, JSON]:
        return {"command": self.command, "source": self.source}

    @classmethod
    def decode(cls, value: Mapping[str, JSON]) -> "Check":
        return cls(str(value["command"]), str(value["source"]))


def tools_for(paths: Iterable[str], texts: Mapping[str, str]) -> tuple[str, ...]:
    """Name the programs that these files could need, so that no others are started to ask their version."""
    names = set(paths)
    wanted = []
    for tool, patterns in (
        ("python3", ("*.py", "pyproject.toml", "setup.cfg", "setup.py")),
        ("node", ("package.json", "*.js", "*.mjs", "*.ts")),
        ("npm", ("package.json",)),
        ("go", ("go.mod",)),
        ("cargo", ("Cargo.toml",)),
        ("perl", ("*.pl", "*.pm", "*.t", "cpanfile")),
        ("prove", ("t/*.t", "cpanfile")),
        ("php", ("composer.json", "*.php")),
        ("composer", ("composer.json",)),
        ("mix", ("mix.exs",)),
        ("ruby", ("Gemfile", "*.rb")),
    ):
        if any(fnmatch(name, pattern) for name in names for pattern in patterns):
            wanted.append(tool)
    commands = " ".join(texts.values())
    wanted.extend(tool for tool in ("make", "ruff") if tool in commands or (tool == "make" and "Makefile" in names))
    return tuple(wanted)


def find_checks(
    paths: Sequence[str], texts: Mapping[str, str], *, modules: frozenset[str] = frozenset(), by_ci: bool = True
) -> tuple[Check, ...]:
    """Give the checks in the order in which they are run: what CI runs, else what the files call for.

    `modules` are the Python modules that can be imported where the checks run.
    """
    ci_file = texts.get(".gitlab-ci.yml", "") if by_ci else ""
    from_ci = tuple(Check(command, f".gitlab-ci.yml, {job}") for command, job in ci_commands(ci_file))
    if from_ci:
        return from_ci
    found: list[Check] = []
    names = set(paths)
    found.extend(_python(names, texts, modules))
    script = _package_script(texts.get("package.json", ""))
    if script:
        found.append(Check("npm test", "package.json"))
    for marker, command in (
        ("go.mod", "go test ./..."),
        ("Cargo.toml", "cargo test --offline"),
        ("mix.exs", "mix test"),
    ):
        if marker in names:
            found.append(Check(command, marker))
    if "composer.json" in names and '"test"' in texts.get("composer.json", ""):
        found.append(Check("composer test", "composer.json"))
    if any(fnmatch(name, "t/*.t") for name in names):
        found.append(Check("prove -lr t", "t/"))
    if not found and re.search(r"(?m)^test\s*:", texts.get("Makefile", "")):
        found.append(Check("make test", "Makefile"))
    if "ruff.toml" in names or ".ruff.toml" in names or "[tool.ruff" in texts.get("pyproject.toml", ""):
        found.append(Check("ruff check .", "ruff's configuration"))
    return tuple(found)


def _python(names: set[str], texts: Mapping[str, str], modules: frozenset[str]) -> list[Check]:
    tests = [name for name in names if is_test(name) and name.endswith(".py")]
    configured = "[tool.pytest" in texts.get("pyproject.toml", "") or "[tool:pytest]" in texts.get("setup.cfg", "")
    if not tests and not configured and not names & {"pytest.ini", "tox.ini"}:
        return []
    source = "pytest's configuration" if configured or "pytest.ini" in names else "test files"
    if "pytest" in modules:
        return [Check("python3 -m pytest -q", source)]
    folder = next((top for top in ("tests", "test") if any(name.startswith(f"{top}/") for name in tests)), "")
    if not folder:
        return [Check("python3 -m unittest", "test files")]
    package = " -t ." if f"{folder}/__init__.py" in names else ""
    return [Check(f"python3 -m unittest discover -s {folder}{package}", "test files")]


def is_test(path: str) -> bool:
    """Whether a path is a test by its name or its folder, in any language."""
    parts = path.lower().split("/")
    name = parts[-1]
    if set(parts[:-1]) & {"test", "tests", "spec", "specs", "__tests__", "t"} and "." in name and name != "__init__.py":
        return not name.endswith((".md", ".txt", ".json", ".yml", ".yaml", ".csv"))
    return bool(
        re.search(r"(?:^test_.*\.py|_test\.(?:py|go|rb|exs?)|\.(?:test|spec)\.[cm]?[jt]sx?|_spec\.rb|test\.php)$", name)
    )


def _package_script(text: str) -> str:
    try:
        document = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return ""
    scripts = document.get("scripts") if isinstance(document, dict) else None
    script = scripts.get("test") if isinstance(scripts, dict) else None
    # npm's own placeholder fails on purpose.
    return script if isinstance(script, str) and "no test specified" not in script else ""
