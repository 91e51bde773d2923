"""The documentation tells what the code does, its links lead somewhere, and the budgets of the code hold."""

import ast
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from mergewright import __version__
from mergewright.app.settings import SECRETS, VARIABLES, read_settings
from mergewright.cli.main import app
from mergewright.domain.flow import Flow
from mergewright.flows.registry import AGENT_TOOLS, BUILT_IN, STEPS, built_in

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "mergewright"
REFERENCE = ROOT / "docs" / "reference"
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


def pages() -> list[Path]:
    """Every Markdown file of ours."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")]
    return sorted(found)


def sources() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if "demo_data" not in path.parts)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(text: str) -> set[str]:
    """The names under which a page's headings can be linked to."""
    found = set()
    for heading in HEADING.findall(FENCED.sub("", text)):
        plain = re.sub(r"[^\w\- ]", "", heading.strip().lower())
        found.add(plain.replace(" ", "-"))
    return found


# --- what is generated ------------------------------------------------------------------------------


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=lambda page: page.name)
def test_a_reference_page_says_what_the_code_says(page: Path) -> None:
    text = page.read_text("utf-8")
    assert load(ROOT / "docs" / "generate.py").renewed(text) == text, "run `.venv/bin/python docs/generate.py`"


def test_every_generated_part_stands_on_a_page() -> None:
    text = "".join(page.read_text("utf-8") for page in REFERENCE.glob("*.md"))
    missing = [name for name in load(ROOT / "docs" / "generate.py").BLOCKS if f"<!-- begin {name} -->" not in text]
    assert missing == []


# --- links ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    dead = []
    text = FENCED.sub("", page.read_text("utf-8"))
    for target in LINK.findall(text):
        if re.match(r"(?:https?|mailto):", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        ours = there.exists() and there.is_relative_to(ROOT)
        if not ours or (anchor and anchor not in anchors(there.read_text("utf-8"))):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_file_of_ours_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    paths = re.findall(r"`((?:src|docs|tests|scripts|bench)/[\w./-]+)`", text)
    short = re.findall(r"`((?:app|domain|engine|flows|models|sandbox|store|localforge)/\w+\.py)`", text)
    missing = [path for path in paths if not (ROOT / path).exists()]
    missing += [path for path in short if not (SOURCE / path).exists()]
    assert missing == []


def test_every_page_of_the_documentation_is_linked_from_another() -> None:
    linked = set()
    for page in pages():
        for target in LINK.findall(page.read_text("utf-8")):
            there = (page.parent / target.partition("#")[0]).resolve()
            if there != page:
                # A link to a folder shows what is in it.
                linked.update({there, *there.glob("*.md")} if there.is_dir() else {there})
    lost = [named(page) for page in (ROOT / "docs").rglob("*.md") if page not in linked]
    assert lost == []


# --- what must be documented ------------------------------------------------------------------------


def strings_read(tree: ast.AST) -> Iterator[str]:
    """The names of the variables that a module takes from an environment named `env`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "env":
            if isinstance(node.slice, ast.Constant):
                yield str(node.slice.value)
        elif isinstance(node, ast.Call):
            taken = [argument for argument in node.args[:2] if isinstance(argument, ast.Constant)]
            on_env = isinstance(node.func, ast.Attribute) and ast.unparse(node.func) == "env.get"
            handed = any(isinstance(argument, ast.Name) and argument.id == "env" for argument in node.args[:1])
            if (on_env or handed) and taken and taken[0].value:
                yield str(taken[0].value)


def test_every_variable_that_is_read_is_documented_and_no_other() -> None:
    read = set(strings_read(ast.parse((SOURCE / "app" / "settings.py").read_text("utf-8"))))
    assert read == set(VARIABLES)
    page = (REFERENCE / "settings.md").read_text("utf-8")
    assert [name for name in VARIABLES if f"`{name}`" not in page] == []


def test_every_default_that_is_documented_is_the_default() -> None:
    told = {name: match[1] for name, text in VARIABLES.items() if (match := re.search(r"; (\d+)\.$", text))}
    assert "MERGEWRIGHT_MAX_TURNS" in told
    assert read_settings({"MERGEWRIGHT_HOME": "/h", **told}) == read_settings({"MERGEWRIGHT_HOME": "/h"})


@pytest.mark.parametrize("page", pages(), ids=named)
def test_no_page_names_a_variable_that_nobody_reads(page: Path) -> None:
    names = set(re.findall(r"\b(?:MERGEWRIGHT|GITLAB|OPENAI|ANTHROPIC)_[A-Z_]+\b", page.read_text("utf-8")))
    files = {f"{name}_FILE" for name in SECRETS}
    assert names - set(VARIABLES) - files == set()


def verbs() -> dict[str, click.Command]:
    """Each verb with its command, such as `sessions resume`."""
    found: dict[str, click.Command] = {}
    for name, command in app.commands.items():
        if isinstance(command, click.Group):
            found |= {f"{name} {verb}": one for verb, one in command.commands.items()}
        else:
            found[name] = command
    return found


def test_every_verb_and_option_is_documented() -> None:
    page = (REFERENCE / "cli.md").read_text("utf-8")
    for verb, command in verbs().items():
        assert f"### `mergewright {verb}`" in page
        for parameter in command.params:
            assert all(option in page for option in parameter.opts if option.startswith("--"))


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    known = verbs()
    for line in re.findall(r"^    (?:\S*/)?(mergewright .+?)(?: {2,}.*)?$", page.read_text("utf-8"), re.MULTILINE):
        words = shlex.split(line)[1:]
        verb = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
        assert verb is not None, line
        options = {option for parameter in known[verb].params for option in parameter.opts}
        assert [word for word in words if word.startswith("--") and word not in options] == [], line


def test_every_flow_component_step_and_tool_is_documented() -> None:
    flow_page = (REFERENCE / "flow-yaml.md").read_text("utf-8")
    tool_page = (REFERENCE / "tools.md").read_text("utf-8")
    flows: list[Flow] = [built_in(name) for name in BUILT_IN]
    names = {*BUILT_IN, *STEPS, *(component for flow in flows for component in flow.components)}
    assert [name for name in sorted(names) if f"`{name}`" not in flow_page] == []
    assert [name for name in sorted({*AGENT_TOOLS, "finish"}) if f"### `{name}`" not in tool_page] == []


def test_every_field_of_a_flow_file_is_documented() -> None:
    page = (REFERENCE / "flow-yaml.md").read_text("utf-8")
    readers = {"text", "flag", "number", "choice", "items", "below", "has", "any"}
    read = set()
    for node in ast.walk(ast.parse((SOURCE / "flows" / "load.py").read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in readers:
            read |= {str(argument.value) for argument in node.args[:1] if isinstance(argument, ast.Constant)}
    assert "response_schema_id" in read
    assert sorted(name for name in read if f"`{name}`" not in page) == []


def test_every_kind_of_event_has_a_text() -> None:
    page = (REFERENCE / "events.md").read_text("utf-8")
    assert re.findall(r"^\| `\w+` \| +\|$", page, re.MULTILINE) == []


def test_every_dependency_has_its_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["dev"], *groups["build"]]
    pages = ("0003-dependencies.md", "0014-dependencies-of-the-server.md")
    page = "".join((ROOT / "docs" / "decisions" / name).read_text("utf-8") for name in pages)
    names = [re.split(r"[<>=~! ]", entry)[0] for entry in wanted]
    assert [name for name in names if f"| `{name}` |" not in page] == []


# --- version and readme -----------------------------------------------------------------------------


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert (project, newest[1]) == (__version__, __version__)


def test_the_first_lines_of_the_readme_say_what_it_is_and_how_to_see_it() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    first = "\n".join(lines[:30])
    assert lines[0] == "# mergewright"
    assert all(part in first for part in ("scripts/demo", "scripts/test", "![", "GITLAB_URL"))
    assert len(lines) <= 120


# --- budgets ----------------------------------------------------------------------------------------


def test_no_source_file_is_longer_than_500_lines() -> None:
    lengths = {named(path): len(path.read_text("utf-8").splitlines()) for path in sources()}
    assert {path: lines for path, lines in lengths.items() if lines > 500} == {}


def test_the_median_source_file_is_short() -> None:
    lengths = sorted(len(path.read_text("utf-8").splitlines()) for path in sources())
    assert lengths[len(lengths) // 2] <= 120


def broad(path: Path) -> int:
    """How many of a file's handlers catch everything."""
    found = 0
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "BaseException"
            found += any(name in {"Exception", "BaseException"} for name in re.findall(r"\w+", caught))
    return found


def test_everything_is_caught_in_four_places_at_most() -> None:
    assert sum(map(broad, sources())) <= 4


def reads_environment(path: Path) -> bool:
    text = path.read_text("utf-8")
    return any(
        (isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.environb", "os.getenv"})
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and "environ" in text)
        for node in ast.walk(ast.parse(text))
    )


def test_one_module_alone_reads_the_environment() -> None:
    assert [named(path) for path in sources() if reads_environment(path)] == ["src/mergewright/app/settings.py"]


def test_no_test_mocks() -> None:
    guilty = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if any("mock" in module.lower() for module in modules):
                guilty.append(named(path))
    assert guilty == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_holds_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    assert "--hash=sha256:" in text
    assert re.findall(r"^.*(?:://|--index-url|--extra-index-url|--find-links).*$", text, re.MULTILINE) == []


def test_no_file_of_ours_names_a_registry() -> None:
    hosts = re.compile(r"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|crates\.io/api")
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    files = [*ROOT.glob("*.*"), *(path for folder in folders for path in folder.rglob("*"))]
    ours = [path for path in files if path.is_file() and path.suffix != ".pyc" and path != Path(__file__)]
    assert [named(path) for path in ours if hosts.search(path.read_text("utf-8", "replace"))] == []
