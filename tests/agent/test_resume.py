"""A run that was killed goes on where its log ends."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mergewright.agent.calls import INTERRUPTED
from mergewright.domain.agent import Message, Reply, Role, ToolCall
from mergewright.domain.errors import ContextOverflow, ModelUnavailable
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import EventKind
from mergewright.store.sql import open_store
from tests.support.agents import ASSIGNMENT, SESSION, agent_on
from tests.support.memory_store import Killed, MemoryStore
from tests.support.scripted_model import ScriptedModel, call, says

STEPS: list[Reply | Exception] = [
    says(text="Let me think."),
    says(call("read", path="app.py"), call("search", pattern="two"), text="I look."),
    says(call("run", command="echo ran >> ../work/count")),
    says(),
    says(call("edit", path="app.py", edits=[{"old": "a - b", "new": "a + b"}]), call("plan", tasks=[{"text": "x"}])),
    says(ToolCall("", "read", '{"path"'), ToolCall("", "gone", "{}")),
    says(call("finish", summary="done")),
]

EVENTS = 35
"""How many events a run of these steps writes."""


def step_of(messages: Sequence[Message]) -> int:
    """Which of the steps comes next, told by the conversation alone."""
    return sum(m.role is Role.ASSISTANT for m in messages)


def script(number: int, messages: Sequence[Message]) -> Reply:
    reply = STEPS[step_of(messages)]
    assert isinstance(reply, Reply)
    return reply


async def whole_run(sandbox: Sandbox) -> tuple[MemoryStore, ScriptedModel]:
    store, model = MemoryStore(), ScriptedModel(script)
    await agent_on(model, store, sandbox).run(ASSIGNMENT)
    return store, model


@pytest.mark.parametrize("deaths", range(EVENTS))
async def test_killed_after_any_event_it_ends_as_if_it_had_not_been(deaths: int, sandbox: Sandbox, tree: Path) -> None:
    store, model = MemoryStore(), ScriptedModel(script)
    store.dies_after = deaths
    with pytest.raises(Killed):
        await agent_on(model, store, sandbox).run(ASSIGNMENT)
    store.dies_after = None
    outcome = await agent_on(model, store, sandbox).run(ASSIGNMENT)
    assert outcome.answer == {"summary": "done"}
    for (_, before, _), (_, after, _) in itertools.pairwise(model.requests):
        assert after[: len(before)] == before
    kinds = [event.kind for event, _ in store.log]
    assert kinds.count(EventKind.TOOL_CALL) == kinds.count(EventKind.TOOL_RESULT) == 8
    assert (tree / "count").read_text() == "ran\n"
    assert "a + b" in (tree / "app.py").read_text()


async def test_the_run_above_has_as_many_events_as_are_tried(sandbox: Sandbox) -> None:
    store, _ = await whole_run(sandbox)
    assert len(store.log) == EVENTS


async def test_a_command_that_was_cut_is_not_run_again_and_the_model_is_told(sandbox: Sandbox, tree: Path) -> None:
    store, model = MemoryStore(), ScriptedModel(script)
    await_result = next(
        n for n, (event, _) in enumerate((await whole_run(sandbox))[0].log)
        if event.kind is EventKind.TOOL_RESULT and event.data["name"] == "run"
    )  # fmt: skip
    (tree / "count").unlink()
    (tree / "app.py").write_text("def add(a, b):\n    return a - b\n")
    store.dies_after = await_result
    with pytest.raises(Killed):
        await agent_on(model, store, sandbox).run(ASSIGNMENT)
    store.dies_after = None
    await agent_on(model, store, sandbox).run(ASSIGNMENT)
    assert (tree / "count").read_text() == "ran\n"
    results = [m.text for m in model.requests[-1][1] if m.role is Role.TOOL]
    assert results[2] == INTERRUPTED
    assert INTERRUPTED.startswith("[interrupted")


async def test_a_finished_run_gives_its_outcome_again_without_the_model(sandbox: Sandbox) -> None:
    store, _ = await whole_run(sandbox)
    silent = ScriptedModel([])
    outcome = await agent_on(silent, store, sandbox).run(ASSIGNMENT)
    assert outcome.answer == {"summary": "done"}
    assert outcome.usage.requests == len(STEPS)
    assert silent.requests == []


async def test_a_prompt_that_was_changed_meanwhile_does_not_change_a_run_that_was_begun(sandbox: Sandbox) -> None:

    store, model = MemoryStore(), ScriptedModel(script)
    store.dies_after = 8
    with pytest.raises(Killed):
        await agent_on(model, store, sandbox).run(ASSIGNMENT)
    store.dies_after = None
    await agent_on(model, store, sandbox).run(replace(ASSIGNMENT, system="You are a pirate."))
    assert model.requests[-1][1][0].text == "You are an engineer."


async def test_files_that_were_read_before_the_crash_may_be_overwritten_after_it(sandbox: Sandbox, tree: Path) -> None:
    steps = [says(call("read", path="app.py")), says(call("write", path="app.py", content="x = 1\n"))]
    finish = says(call("finish", summary="done"))
    store = MemoryStore()
    store.dies_after = 6
    with pytest.raises(Killed):
        await agent_on(ScriptedModel(steps), store, sandbox).run(ASSIGNMENT)
    store.dies_after = None
    await agent_on(ScriptedModel([steps[1], finish]), store, sandbox).run(ASSIGNMENT)
    assert (tree / "app.py").read_text() == "x = 1\n"


async def test_a_run_goes_on_in_the_same_place_in_the_real_store(sandbox: Sandbox, tmp_path: Path) -> None:
    database = tmp_path / "mergewright.db"
    store = open_store(database)
    session = await store.create(SESSION)

    assignment = replace(ASSIGNMENT, session=session)
    broken = ScriptedModel([says(call("read", path="app.py"), text="caf\u00e9 \U0001f600"), ModelUnavailable("gone")])
    with pytest.raises(ModelUnavailable):
        await agent_on(broken, store, sandbox).run(assignment)
    await store.close()
    store = open_store(database)
    model = ScriptedModel([says(call("finish", summary="done"))])
    outcome = await agent_on(model, store, sandbox).run(assignment)
    assert outcome.answer == {"summary": "done"}
    assert model.requests[0][1] == broken.requests[1][1]
    await store.close()


async def test_a_conversation_that_was_made_shorter_is_rebuilt_the_same(sandbox: Sandbox, tree: Path) -> None:
    (tree / "big").write_text("a line of a big file\n" * 900)
    reads = [says(call("read", path="big", start=n)) for n in (1, 2, 3)]
    store = MemoryStore()
    model = ScriptedModel([*reads, ContextOverflow("too long"), says(call("read", path="app.py"))])
    with pytest.raises(AssertionError, match="at its end"):
        await agent_on(model, store, sandbox).run(ASSIGNMENT)
    again = ScriptedModel([says(call("finish", summary="done"))])
    await agent_on(again, store, sandbox).run(ASSIGNMENT)
    assert again.requests[0][1] == model.requests[-1][1]
    assert len(again.requests[0][1][3].text) < 300
