import pytest

from mergewright.cli.watch import describe, plain
from mergewright.domain.session import Event, EventKind


def event(kind: EventKind, **data: object) -> Event:
    return Event("s", 1, 0.0, 1, kind, "implement:1", data)


@pytest.mark.parametrize(
    "text", ["\x1b[2J\x1b[31mred", "a\x07b", "a\rb", "\u202eevil", "\x9b31m", "a\x00b", "zero\u200bwidth"]
)
def test_nothing_that_an_agent_prints_steers_the_terminal(text: str) -> None:
    shown = plain(describe(event(EventKind.PROGRESS, text=text)))
    assert shown.isprintable()


def test_lines_and_what_people_write_stay() -> None:
    assert plain("größer\n\t漢字 ✓") == "größer\n\t漢字 ✓"


def test_a_check_is_one_line_with_command_and_outcome() -> None:
    line = describe(
        event(EventKind.CHECK, command="make test", exit_code=2, seconds=1.23, summary="1 failed", when="after")
    )
    assert line == "  check (after): make test · exit code 2 · 1 failed · 1.2 s"


def test_a_plan_is_shown_with_what_is_done() -> None:
    tasks = [{"text": "one", "done": True}, {"text": "two", "done": False}]
    assert describe(event(EventKind.PLAN, tasks=tasks)) == "  [x] one\n  [ ] two"


def test_what_only_the_log_needs_is_not_shown() -> None:
    assert describe(event(EventKind.MESSAGE, role="assistant", text="secret thoughts")) == ""
    assert describe(event(EventKind.USAGE, requests=1)) == ""
    assert describe(event(EventKind.COMPONENT, phase="end")) == ""
