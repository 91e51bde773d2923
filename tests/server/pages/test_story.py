"""How events become the story of a session page."""

import itertools
from typing import Any

import pytest

from mergewright.domain.session import Event, EventKind
from mergewright.server.pages.calls import called
from mergewright.server.pages.story import Line, Step, Story
from mergewright.server.pages.told import Told, link, shown
from mergewright.server.pages.wording import tell


class Log:
    """Events one after another, as a store numbers them."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)

    def __call__(self, kind: str, component: str = "implement:1", turn: int = 1, **data: Any) -> Event:
        seq = next(self.numbers)
        return Event("s", seq, 1000.0 + seq, turn, EventKind(kind), component, data)


@pytest.fixture
def log() -> Log:
    return Log()


def some(log: Log) -> list[Event]:
    return [
        log("status", "", status="running", reason=""),
        log("component", phase="begin", type="AgentComponent"),
        log("message", role="system", text="You are a developer"),
        log("message", role="assistant", text="I look first"),
        log("usage", requests=1, input_tokens=10, output_tokens=5, cached_tokens=0, cost=0.5, seconds=1.0),
        log("tool_call", id="a", name="run", arguments={"command": "pytest -q"}),
        log("tool_call", id="b", name="read", arguments={"path": "x.py"}),
        log("tool_result", id="b", name="read", text="x.py · lines 1-1 of 1\nx = 1", ok=True, seconds=0.1),
        log(
            "tool_result",
            id="a",
            name="run",
            text="exit 1 · 0.3 s\nboom",
            ok=False,
            seconds=0.3,
            tests={"failed": 1, "passed": 2, "failures": ["test_x"]},
        ),
        log("plan", tasks=[{"text": "one", "done": True}, {"text": "two", "done": False}]),
        log("component", phase="end", type="AgentComponent"),
        log("component", "gate:1", phase="begin", type="DeterministicStepComponent"),
        log("component", "gate:1", phase="end", type="DeterministicStepComponent"),
        log("status", "", status="finished", reason="done"),
    ]


def shape(items: list[Step | Line]) -> list[Any]:
    return [
        (one.component, one.state, [line.told.tag for line in one.lines]) if isinstance(one, Step) else one.told.tag
        for one in items
    ]


def test_a_step_holds_its_lines_and_one_that_only_decides_is_left_out(log: Log) -> None:
    news = Story().advance(some(log))
    assert shape(news.fresh) == ["status", ("implement:1", "done", ["model", "run", "read", "plan"]), "status"]


def test_the_full_view_also_shows_prompts_costs_and_empty_steps(log: Log) -> None:
    news = Story(full=True).advance(some(log))
    assert shape(news.fresh)[1][2] == ["prompt", "model", "usage", "run", "read", "plan"]
    assert shape(news.fresh)[2] == ("gate:1", "done", [])


def test_a_result_is_written_into_the_line_of_its_call(log: Log) -> None:
    step = Story().advance(some(log)).fresh[1]
    assert isinstance(step, Step)
    run = step.lines[1]
    assert (run.seq, run.told.mood) == (6, "bad")
    assert run.told.note == "exit 1 · 0.3 s · 1 failed, 2 passed"
    assert [block.text for block in run.told.blocks] == ["✗ test_x", "boom"]


def test_event_by_event_the_story_comes_to_the_same_as_at_once(log: Log) -> None:
    events = some(log)
    whole = Story().advance(events).fresh
    story, page, steps = Story(), [], {}
    for event in events:
        news = story.advance([event])
        for one in news.fresh:
            page.append(one)
            if isinstance(one, Step):
                steps[one.seq] = one
        assert set(news.added) <= set(steps), "a line is only sent to a step that the page has"
        assert set(news.heads) <= set(steps)
    assert shape(page) == shape(whole)
    assert story.usage.cost == 0.5
    assert [task.done for task in story.plan.tasks] == [True, False]


def test_a_page_that_begins_in_the_middle_takes_up_results_without_their_calls(log: Log) -> None:
    events = some(log)[6:]
    story = Story()
    news = story.advance(events)
    (step, _) = news.fresh
    assert isinstance(step, Step)
    assert [line.told.tag for line in step.lines] == ["read", "run", "plan"]
    assert step.seconds == 0, "nobody knows when it began"


def test_a_step_that_was_left_off_is_told_apart_from_its_second_try(log: Log) -> None:
    events = [
        log("component", phase="begin", type="AgentComponent"),
        log("message", role="assistant", text="one"),
        log("status", "", 2, status="running", reason=""),
        log("message", "implement:1", 2, role="assistant", text="two"),
    ]
    assert shape(Story().advance(events).fresh) == [
        ("implement:1", "left off", ["model"]),
        "status",
        ("implement:1", "running", ["model"]),
    ]


def test_a_failed_step_says_so_and_its_error_stands_open(log: Log) -> None:
    events = [
        log("component", phase="begin", type="DeterministicStepComponent"),
        log("error", message="the forge is down", hint="try again"),
        log("status", "", status="failed", reason="implement: the forge is down"),
    ]
    step = Story().advance(events).fresh[0]
    assert isinstance(step, Step)
    assert (step.state, step.lines[0].told.open, step.lines[0].told.blocks[0].text) == ("failed", True, "try again")


def test_an_edit_shows_what_it_changed_as_a_diff() -> None:
    result = {"name": "edit", "text": "a.py changed\n@@ -1,2 +1,2 @@\n x\n-old\n+new", "ok": True}
    told = called({"name": "edit", "arguments": {"path": "a.py", "edits": []}}, result)
    assert told is not None
    assert (told.what, told.note) == ("a.py", "+1 −1")
    assert [kind for kind, _ in told.blocks[0].lines] == ["hunk", "", "del", "add"]


def test_a_call_whose_arguments_are_no_object_is_told_all_the_same() -> None:
    told = called({"name": "run", "arguments": "{not json"}, {"text": "error: bad", "ok": False})
    assert told is not None
    assert told.mood == "bad"


@pytest.mark.parametrize("address", ["javascript:alert(1)", "data:text/html,x", "//evil.example", ""])
def test_only_addresses_of_the_web_become_links(address: str) -> None:
    assert link(address) == ""
    told = tell(Event("s", 1, 0.0, 1, EventKind.FORGE, "", {"action": "note", "web_url": address}))
    assert told is not None
    assert told.href == ""


def test_hidden_letters_and_terminal_codes_of_a_tool_show_as_what_they_are() -> None:
    assert shown("a\u202eb\x1b[31mred\x1b[0m") == "a⟨U+202E⟩bred"


def test_a_person_and_their_words_stand_open(log: Log) -> None:
    said = tell(log("message", role="user", text="use tabs", note="person", by="ann"))
    answered = tell(log("approval", "", approval="reject", by="ann", reason="too much"))
    assert isinstance(said, Told)
    assert isinstance(answered, Told)
    assert (said.what, said.blocks[0].text, said.fine) == ("@ann", "use tabs", False)
    assert (answered.what, answered.mood, answered.blocks[0].text) == ("Rejected by @ann", "bad", "too much")


def test_a_run_of_tests_tells_its_counts_once() -> None:
    result = {"ok": True, "text": "exit 0 · 0.3 s · 17 passed\nOK", "tests": {"passed": 17}}
    ran = called({"name": "run", "arguments": {"command": "make test"}}, result)
    assert ran is not None
    assert ran.note == "exit 0 · 0.3 s · 17 passed"
