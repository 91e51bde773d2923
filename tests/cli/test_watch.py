import pytest

from mergewright.cli.output import plain
from mergewright.cli.screen import Look, Screen
from mergewright.cli.watch import Watcher, describe
from mergewright.domain.session import Event, EventKind, Session, Subject
from tests.support.memory_store import MemoryStore


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


class Lines(Screen):
    """A screen that keeps what was shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.current = ""

    def line(self, text: str, look: Look = "") -> None:
        self.lines.append(text)

    def now(self, text: str) -> None:
        self.current = text


async def shown(*events: tuple[EventKind, str, dict[str, object]]) -> Lines:
    store = MemoryStore()
    session = await store.create(Session("s", "developer", Subject("a/b", "#", 1), "", "ada", "local:x"))
    for kind, component, data in events:
        await store.append(session.id, kind, data, turn=1, component=component)
    screen = Lines()
    await Watcher(store, session.id).catch_up(screen)
    return screen


def begins(component: str, kind: str) -> tuple[EventKind, str, dict[str, object]]:
    return (EventKind.COMPONENT, component, {"phase": "begin", "type": kind})


def ends(component: str) -> tuple[EventKind, str, dict[str, object]]:
    return (EventKind.COMPONENT, component, {"phase": "end"})


async def test_a_step_that_says_nothing_is_not_shown_and_an_agents_is_at_once() -> None:
    screen = await shown(
        begins("choose:1", "DeterministicStepComponent"),
        ends("choose:1"),
        begins("push:1", "DeterministicStepComponent"),
        (EventKind.PROGRESS, "push:1", {"text": "pushing"}),
        ends("push:1"),
        begins("implement:2", "AgentComponent"),
    )
    assert screen.lines == ["— push", "  pushing", "— implement (2)"]
    assert screen.current == "implement (2)"


async def test_a_plan_is_shown_whole_once_and_then_what_was_done_of_it() -> None:
    def plan(*done: bool) -> tuple[EventKind, str, dict[str, object]]:
        tasks = [{"text": f"task {number}", "done": ticked} for number, ticked in enumerate(done)]
        return (EventKind.PLAN, "implement:1", {"tasks": tasks})

    screen = await shown(plan(False, False), plan(True, False), plan(True, False), plan(True, True))
    assert screen.lines == ["  [ ] task 0\n  [ ] task 1", "  [x] task 0", "  [x] task 1"]
