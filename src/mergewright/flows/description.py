"""Renders a merge request's description from facts."""

from collections.abc import Iterable
from dataclasses import dataclass

from mergewright.domain.plain import code, markdown, one_line
from mergewright.domain.session import Plan
from mergewright.flows.outside import altered
from mergewright.flows.verdict import Ran
from mergewright.flows.weakened import Weakening

MOST_FILES = 100
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a change; the texts may be anybody's words."""

    issue: int
    """0 where the change closes none."""
    summary: str
    plan: Plan
    signature: str
    goal: str = ""
    """What was asked for, where that was not an issue."""
    before: tuple[Ran, ...] = ()
    after: tuple[Ran, ...] = ()
    failed_before: tuple[str, ...] = ()
    """Commands whose failure is not held against the change."""
    files: tuple[tuple[str, int | None, int | None], ...] = ()
    """Path, lines added, lines removed; None for a file that is not text."""
    changed: tuple[str, ...] = ()
    """The paths of all files that the change touches."""
    weakened: tuple[Weakening, ...] = ()
    open_points: tuple[str, ...] = ()
    tests_run: tuple[str, ...] = ()
    left_undone: str = ""
    """Why this is not a finished change; empty when it is."""
    found_late: bool = False
    """The checks were found only in the change itself."""
    not_installed: tuple[str, ...] = ()
    """Tools, or whole checks, that could not run for the lack of a program."""
    no_commands: bool = False
    """Whether the session had no right to run any command."""
    changed_by: str = ""
    """The person who changed the plan before it was approved."""
    worked: bool = False
    """Whether an agent has worked on it; before that there is only the plan."""


def describe(facts: Facts) -> str:
    """Give the description in Markdown: nothing that a model wrote can act or close anything in it."""
    parts = [f"Closes #{facts.issue}"] if facts.issue else []
    if facts.goal:
        parts.append(f"**Goal:** {one_line(facts.goal, most=1_000)}")
    if facts.left_undone:
        parts.append(f"**Not finished:** {one_line(facts.left_undone, most=2_000)}")
    parts.append(markdown(facts.summary))
    if facts.plan.tasks:
        ticks = (f"- [{'x' if task.done else ' '}] {one_line(task.text)}" for task in facts.plan.tasks)
        by = f"\n\nChanged by {code(facts.changed_by)} before it was approved." if facts.changed_by else ""
        parts.append(_section("Plan", ticks) + by)
    if facts.worked:
        parts.append(_section("What changed", _files(facts)))
        for sentence, paths in altered(facts.changed):
            parts.append(f"**{sentence}:** {_some(paths)}.")
        parts.append("### Checks\n\n" + _checks(facts))
        if facts.weakened:
            named = (
                f"- {code(one.path)}{f' {code(one.test)}' if one.test else ''}: {one_line(one.what)}"
                for one in facts.weakened
            )
            parts.append(_section("Tests that hold less than before", named))
        if facts.open_points:
            parts.append(_section("Open points", (f"- {one_line(point, most=1_000)}" for point in facts.open_points)))
        if facts.tests_run:
            ran = (f"- {one_line(command, most=500)}" for command in facts.tests_run)
            parts.append(_section("What the agent says it ran", ran))
    else:
        parts.append("Nothing is written yet: this description will say what was done.")
    parts.append(facts.signature)
    return "\n\n".join(part for part in parts if part)


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return ", ".join(code(path) for path in paths[:MOST_NAMED]) + more


def _section(title: str, lines: Iterable[str]) -> str:
    return f"### {title}\n\n" + "\n".join(lines)


def _files(facts: Facts) -> Iterable[str]:
    if not facts.files:
        yield "Nothing: the branch stands where it began."
    for path, added, removed in facts.files[:MOST_FILES]:
        lines = f"+{added} −{removed}" if added is not None and removed is not None else "not text"
        yield f"- {code(path, most=400)} {lines}"
    if len(facts.files) > MOST_FILES:
        yield f"- and {len(facts.files) - MOST_FILES} more"


def _checks(facts: Facts) -> str:
    if facts.no_commands:
        return "**Unverified:** the session had no right to run commands, so no check was run."
    if not facts.after:
        return "**Unverified:** no check of the project could be found, so none was run."
    earlier = {ran.command: ran for ran in facts.before}
    rows = ["| check | before | after |", "|---|---|---|"]
    for ran in facts.after:
        before = _cell(earlier[ran.command]) if ran.command in earlier else "not run"
        rows.append(f"| {code(ran.command)} | {before} | {_cell(ran)} |")
    told = ["\n".join(rows)]
    if facts.failed_before and not any(ran.passed for ran in facts.after):
        told.append("**Unverified:** no check passed before or after, so none shows that the change is right.")
    told.extend(f"{code(command)} failed before the change in the same way." for command in facts.failed_before)
    if facts.found_late:
        told.append("The project had no checks before: these come with the change itself.")
    if facts.not_installed:
        told.append(f"Not installed where this ran: {', '.join(code(tool) for tool in facts.not_installed)}.")
    return "\n\n".join(told)


def _cell(ran: Ran) -> str:
    ended = f"exit code {ran.exit_code}" if ran.exit_code is not None else "no exit code"
    return f"{ended}, {one_line(ran.summary)}" if ran.summary else ended
