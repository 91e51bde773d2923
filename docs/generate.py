"""Writes what the code itself says into docs/reference: `python docs/generate.py`, or with `--check` only looks.

A page holds its own text; between `<!-- begin NAME -->` and `<!-- end NAME -->` stands what is generated.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, cast

REFERENCE = Path(__file__).parent / "reference"
BLOCK = re.compile(r"(<!-- begin ([a-z-]+) -->\n)(.*?)(<!-- end \2 -->)", re.DOTALL)
WIDTH = 100


def command_line() -> str:
    """Give the `--help` of the command and of every verb."""
    import click

    from mergewright.cli.main import app

    parts: list[str] = []

    def walk(command: click.Command, parent: click.Context | None, name: str) -> None:
        # The root's settings, such as `-h`, are inherited.
        own = command.context_settings if parent is None else {}
        context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, **own)
        title = context.command_path
        parts.append(f"{'##' if parent is None else '###'} `{title}`\n\n```text\n{command.get_help(context)}\n```\n")
        for verb, below in sorted(command.commands.items()) if isinstance(command, click.Group) else []:
            walk(below, context, verb)

    walk(app, None, "mergewright")
    return "\n".join(parts)


def variables() -> str:
    """Give every environment variable that is read."""
    from mergewright.app.settings import VARIABLES

    return _table(("variable", "what it decides"), ((f"`{name}`", text) for name, text in VARIABLES.items()))


def tools() -> str:
    """Give the agent's tools as a model is told of them."""
    from mergewright.agent.tools.finish import finish_spec
    from mergewright.agent.tools.toolbox import open_tools
    from mergewright.domain.sandbox import Sandbox

    parts = []
    # No tool touches its sandbox before it is called.
    for tool in open_tools(cast(Sandbox, None)):
        parts.append(f"### `{tool.spec.name}` ({tool.access.value})\n\n{tool.spec.description}\n")
        parts.append(_arguments(tool.spec.parameters))
    finish = finish_spec({})
    parts.append(f"### `{finish.name}`\n\n{finish.description}\n")
    parts.append("Its arguments are the component's `response_schema_id`; without one, a `summary`.\n")
    return "\n".join(parts)


def _arguments(schema: Any) -> str:
    rows = []
    for name, one in schema["properties"].items():
        kind = one["type"]
        if kind == "array":
            fields = one["items"]
            inner = ", ".join(
                f"`{field}` {about['type']}{'' if field in fields['required'] else ', optional'}"
                for field, about in fields["properties"].items()
            )
            kind = f"list of: {inner}"
        needed = "yes" if name in schema["required"] else ""
        rows.append((f"`{name}`", kind, needed, one.get("description", "")))
    return _table(("argument", "type", "required", "what it is"), rows)


def steps() -> str:
    """Give the steps that a flow may call by itself, with what each does."""
    from mergewright.flows.registry import STEPS, step_named

    rows = []
    for name in STEPS:
        step = step_named(name)
        about = import_module(f"mergewright.flows.steps.{name}").__doc__ or ""
        rows.append((f"`{name}`", _first_line(about), _first_line(inspect.getdoc(step) or "")))
    return _table(("step", "what it is for", "what it gives"), rows)


def flows() -> str:
    """Give the built-in flows with their components in order."""
    from mergewright.flows.registry import BUILT_IN, built_in

    parts = []
    for name in BUILT_IN:
        flow = built_in(name)
        parts.append(f"### `{name}`\n")
        rows = []
        for component in flow.components.values():
            uses = getattr(component, "tool_name", "") or ", ".join(
                use.name for use in getattr(component, "toolset", ())
            )
            targets = ", ".join(dict.fromkeys(f"`{target}`" for target in flow.routers[component.name].targets))
            kind = type(component).__name__
            rows.append((f"`{component.name}`", kind, uses, targets))
        parts.append(_table(("component", "type", "step or tools", "leads to"), rows))
    return "\n".join(parts)


def event_kinds() -> str:
    """Give the kinds of events and what each holds."""
    return _enum("EventKind", ("kind", "what it holds"))


def endpoints() -> str:
    """Give what the local forge's API answers."""
    from mergewright.localforge.web import PREFIX, RESOURCES

    parts = []
    for resource in RESOURCES:
        parts.append(f"### {_first_line(resource.__doc__ or '').rstrip('.')}\n")
        rows = [(route.method, f"`{PREFIX}{route.path}`", str(route.success)) for route in resource.ROUTES]
        parts.append(_table(("method", "path", "status"), rows))
    return "\n".join(parts)


SEES = "sees the project and its code"
DEVELOPER = "Developer"
WHO = {
    "listSessions": "anybody: those that you may see",
    "beginSession": DEVELOPER,
    "showSession": SEES,
    "listEvents": SEES,
    "streamEvents": SEES,
    "downloadTrace": SEES,
    "startSession": DEVELOPER,
    "approveSession": DEVELOPER,
    "rejectSession": DEVELOPER,
    "changePlan": DEVELOPER,
    "messageSession": DEVELOPER,
    "cancelSession": DEVELOPER,
    "restartSession": DEVELOPER,
    "listReviews": SEES,
    "showReview": SEES,
    "askForReview": DEVELOPER,
    "listFindings": SEES,
    "settleFinding": "to dismiss `override_role`, to dispute Developer",
    "override": "`override_role`",
    "showPolicy": "sees the project",
    "changePolicy": "Maintainer of a project, Owner of a group, administrator",
    "exportAudit": "Maintainer",
    "showMetrics": "sees the project",
    "createWorkflow": DEVELOPER,
    "listWorkflows": "anybody: those that you may see",
    "listAgentPrivileges": "anybody",
    "showWorkflow": SEES,
    "restartWorkflow": DEVELOPER,
    "downloadWorkflowTrace": SEES,
}
"""Who may do what over REST, by the operation's name; one that is missing here stops the generator."""


def rest() -> str:
    """Give what the server's two APIs answer, from their OpenAPI description."""
    from mergewright.server.app import Services, make_app

    # The routes are only described; nobody asks any of them for anything.
    nothing = cast(Any, None)
    app = make_app(Services(nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing))
    rows: dict[str, list[tuple[str, ...]]] = {}
    for path, verbs in app.openapi()["paths"].items():
        for method, route in verbs.items():
            whole = f"`{path}`"
            rows.setdefault(route["tags"][0], []).append(
                (method.upper(), whole, route["summary"], WHO[route["operationId"]])
            )
    parts = []
    for tag, found in rows.items():
        parts.append(f"### {tag[:1].upper()}{tag[1:]}\n")
        parts.append(_table(("method", "path", "what it does", "who may"), found))
    return "\n".join(parts)


def _enum(name: str, head: tuple[str, ...]) -> str:
    """Read an enumeration's values and the texts below them, which only the source holds."""
    from mergewright.domain import session

    tree = ast.parse(inspect.getsource(session))
    found = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    rows: list[list[str]] = []
    for node in found.body:
        if isinstance(node, ast.Assign):
            rows.append([f"`{ast.literal_eval(node.value)}`", ""])
        elif rows and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            rows[-1][1] = " ".join(str(node.value.value).split())
    return _table(head, rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _first_line(text: str) -> str:
    return text.strip().split("\n", 1)[0]


BLOCKS: dict[str, Callable[[], str]] = {
    "command-line": command_line,
    "variables": variables,
    "tools": tools,
    "steps": steps,
    "flows": flows,
    "event-kinds": event_kinds,
    "endpoints": endpoints,
    "rest": rest,
}


def renewed(text: str) -> str:
    """Give a page with its generated parts as the code has them now."""
    return BLOCK.sub(lambda match: f"{match[1]}\n{BLOCKS[match[2]]()}\n{match[4]}", text)


def main(arguments: list[str]) -> int:
    """Write the pages anew; with `--check` name those that are stale and write nothing."""
    stale = [
        page for page in sorted(REFERENCE.glob("*.md")) if renewed(page.read_text("utf-8")) != page.read_text("utf-8")
    ]
    for page in stale:
        print(f"{page.name} {'is stale' if '--check' in arguments else 'written'}")
        if "--check" not in arguments:
            page.write_text(renewed(page.read_text("utf-8")), "utf-8")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
