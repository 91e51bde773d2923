"""Looks at a project once, inside the sandbox: its files, its toolchain, its tree in short."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from mergewright.domain.sandbox import Sandbox
from mergewright.flows.checks import READ_FOR_CHECKS, tools_for

MOST_CONFIG = 200_000
_PYTEST = "import importlib.util as u; print('modules', 'pytest' if u.find_spec('pytest') else '', sep='=')"
_VERSION = {"go": "go version", "perl": "perl -e 'print $^V'", "mix": "mix --version | tail -n 1", "npm": "echo there"}
"""How a tool is asked where `--version` will not do; npm takes a third of a second to say it."""
_MODULES = (
    """python3 -c "import importlib.util as u; print('modules', 'pytest' if u.find_spec('pytest') else '', sep='=')\""""
)


@dataclass(frozen=True, slots=True)
class Project:
    """What can be known of a project without running it."""

    paths: tuple[str, ...]
    texts: dict[str, str]
    """The files by which checks are found."""
    versions: tuple[str, ...]
    """`python3 3.11.7`, one for each tool that is there."""
    missing: tuple[str, ...]
    """The tools it would need that are not there."""
    modules: frozenset[str]


async def look_at(sandbox: Sandbox) -> Project:
    """List the files and ask the tools they call for which version they are."""
    paths = tuple(sorted(await sandbox.paths()))
    texts = {}
    for name in READ_FOR_CHECKS:
        if name in paths:
            texts[name] = (await sandbox.read(name))[:MOST_CONFIG].decode("utf-8", "replace")
    tools = tools_for(paths, texts)
    if not tools:
        return Project(paths, texts, (), (), frozenset())
    lines = [_ask(tool) for tool in tools]
    if "python3" in tools:
        lines.append(f'python3 -c "{_PYTEST}"')
    result = await sandbox.run("\n".join(lines), seconds=30)
    versions, missing, modules = [], [], frozenset[str]()
    for line in result.output.splitlines():
        tool, _, said = line.partition("=")
        if tool == "modules":
            modules = frozenset(said.split())
        elif tool in tools and said:
            number = re.search(r"\d+(?:\.\d+)+", said)
            versions.append(f"{tool} {number[0]}" if number else tool)
        elif tool in tools:
            missing.append(tool)
    return Project(paths, texts, tuple(versions), tuple(missing), modules)


def _ask(tool: str) -> str:
    version = _VERSION.get(tool, f"{tool} --version")
    return f'echo "{tool}=$(if command -v {tool} >/dev/null; then {version} 2>&1 | head -n 1; fi)"'


def tree(paths: Sequence[str], *, most: int = 60) -> str:
    """Show the tree in so many lines at most: whole where it fits, else the fuller folders as one line each."""
    if not paths:
        return "(empty)"
    if len(paths) <= most:
        return "\n".join(sorted(paths))
    depth = max(path.count("/") for path in paths)
    lines: list[str] = []
    for level in range(depth, -1, -1):
        lines = _folded(paths, level)
        if len(lines) <= most:
            return "\n".join(lines)
    return "\n".join([*lines[: most - 1], f"… and {len(lines) - most + 1} more"])


def _folded(paths: Sequence[str], level: int) -> list[str]:
    folders = Counter("/".join(path.split("/")[: level + 1]) + "/" for path in paths if path.count("/") > level)
    files = [path for path in paths if path.count("/") <= level]
    return sorted([*files, *(f"{folder} ({count} files)" for folder, count in folders.items())])
