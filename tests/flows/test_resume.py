"""A session that was killed goes on where it stood, and the forge does not notice."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from mergewright.domain.errors import Unreachable
from mergewright.domain.session import JSON, Event, EventKind, Status
from mergewright.store.sql import SqlStore
from tests.flows.conftest import SetUp
from tests.flows.scripts import IMPLEMENT, PLAN
from tests.flows.stage import Inline, Stage, git, says

DONE = {"plan:1": PLAN, "implement:1": IMPLEMENT}


class Killed(BaseException):
    """What a `kill -9` looks like from inside: nothing catches it."""


class Forgetful(Inline):
    """Steps that lose what the newest of them gave, as when the process died before the engine wrote it down."""

    async def step(self, name: str, run: Callable[[], Awaitable[JSON]]) -> JSON:
        value = await super().step(name, run)
        if name == self.dies_behind:
            del self.kept[(self.turn, name)]
            self.dies_behind = ""
            raise Killed
        return value

    dies_behind = ""


async def done_once(on: Stage) -> None:
    session = await on.run()
    assert (session.status, session.reason) == (Status.FINISHED, "opened !1; no pipeline")
    assert on.branches() == ["main", "mergewright/7-add-subtraction"]
    assert git(on.forge.bare, "rev-list", "--count", f"main..{on.merge_request.source_branch}") == "1"
    assert "- [x] Write subtract" in on.merge_request.description
    assert len(on.forge.written) == 1
    assert "def subtract" in on.show("calc.py")


@pytest.mark.parametrize("write", ["open_merge_request", "update_merge_request", "add_note"])
async def test_a_write_whose_answer_never_came_is_not_done_twice(stage: SetUp, write: str) -> None:
    on = stage(DONE)

    def die(name: str) -> None:
        if name == write:
            on.forge.after = lambda name: None
            raise Killed

    on.forge.after = die
    await on.begin()
    with pytest.raises(Killed):
        await on.run()
    assert (await on.store.session(on.session_id)).status is Status.RUNNING
    await done_once(on)


@pytest.mark.parametrize("step", ["plan:1", "push:1", "note_on_issue:1"])
async def test_a_step_that_ended_but_was_not_kept_by_the_engine_is_not_run_again(stage: SetUp, step: str) -> None:
    on = stage(DONE)
    steps = Forgetful()
    steps.dies_behind = f"{step}:run"
    on.steps = steps
    await on.begin()
    with pytest.raises(Killed):
        await on.run()
    asked = len(on.model.requests)
    await done_once(on)
    if step == "plan:1":
        assert [name for name, _, _ in on.model.requests[asked:]] == ["implement:1"] * len(IMPLEMENT)
    ended = [e.component for e in await on.events(EventKind.COMPONENT) if e.data["phase"] == "end"]
    assert len(ended) == len(set(ended))


class Dying(SqlStore):
    """A store whose process dies before the n-th event of a kind is written."""

    kind = EventKind.TOOL_RESULT
    left = 10_000

    async def append(
        self, session_id: str, kind: EventKind, data: Mapping[str, JSON], *, turn: int, component: str = ""
    ) -> Event:
        if kind is self.kind:
            self.left -= 1
            if self.left == 0:
                raise Killed
        return await super().append(session_id, kind, data, turn=turn, component=component)


async def test_an_edit_that_was_interrupted_is_told_to_the_model(stage: SetUp) -> None:
    look = [*IMPLEMENT[:1], says("read", path="calc.py"), *IMPLEMENT[1:]]
    on = stage({"plan:1": PLAN, "implement:1": look})
    assert isinstance(on.store, SqlStore)
    dying: Any = on.store
    dying.__class__ = Dying
    dying.left = 3  # behind the results of `plan`: the first edit
    await on.begin()
    with pytest.raises(Killed):
        await on.run()
    await done_once(on)
    told = [m.text for name, messages, _ in on.model.requests for m in messages if m.text.startswith("[interrupted")]
    assert told


async def test_a_forge_that_was_down_fails_the_session_and_a_new_turn_goes_on_there(stage: SetUp) -> None:
    on = stage(DONE)

    def refuse(name: str) -> None:
        if name == "update_merge_request":
            raise Unreachable("the forge does not answer")

    on.forge.before = refuse
    await on.begin()
    session = await on.run()
    assert (session.status, session.reason) == (Status.FAILED, "update_merge_request: the forge does not answer")
    [error] = await on.events(EventKind.ERROR)
    assert "mergewright sessions resume" in error.data["hint"]
    on.forge.before = lambda name: None
    on.steps.ran.clear()
    session = await on.run(turn=2)
    assert session.status is Status.FINISHED
    assert on.steps.ran == ["update_merge_request:1:run", "await_pipeline:1:run", "note_on_issue:1:run"]


async def test_a_turn_that_has_ended_is_not_run_again(stage: SetUp) -> None:
    on = stage(DONE)
    await on.begin()
    await on.run()
    before = len(await on.events())
    await on.run()
    assert len(await on.events()) == before


async def test_a_session_that_a_person_stopped_meanwhile_stays_stopped(stage: SetUp) -> None:
    on = stage(DONE)

    def nothing(name: str) -> None:
        return None

    on.forge.after = nothing
    await on.begin()
    real = on.steps.step

    async def stop_in_the_end(name: str, run: Callable[[], Awaitable[JSON]]) -> JSON:
        value = await real(name, run)
        if name == "note_on_issue:1:run":
            await on.store.update(on.session_id, status=Status.STOPPED, reason="cancelled")
        return value

    on.steps.step = stop_in_the_end  # type: ignore[method-assign]
    session = await on.run()
    assert (session.status, session.reason) == (Status.STOPPED, "cancelled")
