"""What people tell a session: words for its agent, and a plan of their own."""

from collections.abc import Sequence

import pytest

from mergewright.app.runtime import message_session
from mergewright.domain.agent import Message, Reply, Role, ToolSpec
from mergewright.domain.errors import Conflict, WrongUse
from mergewright.domain.session import EventKind, Status
from mergewright.flows.listening import LONGEST, LONGEST_TASK, MOST_TASKS, change_plan
from tests.flows.conftest import SetUp
from tests.flows.scripts import IMPLEMENT, PLAN
from tests.flows.stage import Conversations, Script, Stage

DONE = {"plan:1": PLAN, "implement:1": IMPLEMENT}


class Written(Conversations):
    """A model during one of whose requests a person writes."""

    def __init__(self, script: Script, on: Stage, *, during: tuple[str, int], text: str) -> None:
        super().__init__(script)
        self.on, self.during, self.text = on, during, text

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        if (conversation, sum(m.role is Role.ASSISTANT for m in messages)) == self.during and self.text:
            text, self.text = self.text, ""
            await message_session(self.on.store, self.on.session_id, text, by="bob")
        return await super().reply(conversation, messages, tools)


def heard(on: Stage, conversation: str) -> list[str]:
    """A person's words as the last request of a conversation held them."""
    last = [messages for name, messages, _ in on.model.requests if name == conversation][-1]
    return [m.text.partition("\n\n")[2] for m in last if m.text.startswith("bob, a person you work for, says")]


def listen(on: Stage, script: Script, *, during: tuple[str, int], text: str) -> None:
    on.model = Written(script, on, during=during, text=text)
    object.__setattr__(on.world, "open_model", lambda session: on.model)


async def test_words_to_the_planner_hold_for_who_carries_the_plan_out(stage: SetUp) -> None:
    on = stage({})
    listen(on, DONE, during=("plan:1", 0), text="Do not touch division")
    await on.begin()
    session = await on.run()
    assert session.status is Status.FINISHED
    assert heard(on, "plan:1") == ["Do not touch division"]
    assert heard(on, "implement:1") == ["Do not touch division"]


async def test_words_during_the_last_reply_keep_the_agent_from_finishing(stage: SetUp) -> None:
    on = stage({})
    last = len(IMPLEMENT) - 1
    listen(on, {**DONE, "implement:1": [*IMPLEMENT, IMPLEMENT[-1]]}, during=("implement:1", last), text="Wait")
    await on.begin()
    assert (await on.run()).status is Status.FINISHED
    assert heard(on, "implement:1") == ["Wait"]


async def test_a_session_that_waits_or_has_ended_takes_no_words(stage: SetUp) -> None:
    on = stage(DONE)
    await on.begin(approve_plan=True)
    await on.run()
    with pytest.raises(Conflict, match="waits for a person: the plan waits for approval"):
        await message_session(on.store, on.session_id, "Hurry", by="bob")
    await on.answer("approve")
    await on.run(turn=2)
    with pytest.raises(Conflict, match="has ended: opened !1"):
        await message_session(on.store, on.session_id, "Hurry", by="bob")


async def test_words_that_no_agent_would_read_are_refused(stage: SetUp) -> None:
    on = stage(DONE)
    refused: list[str] = []

    async def write(seconds: float) -> None:
        try:
            await message_session(on.store, on.session_id, "One thing more", by="bob")
        except Conflict as error:
            refused.append(error.message)

    on.forge.pipeline_states = ["running", "success"]
    object.__setattr__(on.world, "sleep", write)
    await on.begin()
    assert (await on.run()).status is Status.FINISHED
    assert refused == [f"no agent would read it: session `{on.session_id}` is past the part that one works on"]


async def test_words_that_came_too_late_are_said_to_be_unread(stage: SetUp) -> None:
    on = stage(DONE)
    await on.begin()
    data = {"role": "user", "text": "x", "note": "person", "by": "bob"}

    async def write() -> None:
        await on.store.append(on.session_id, EventKind.MESSAGE, data, turn=1)

    real = on.forge.add_note

    async def slow(*given: object, **named: object) -> object:
        await write()
        return await real(*given, **named)  # type: ignore[arg-type]

    on.forge.add_note = slow  # type: ignore[assignment, method-assign]
    await on.run()
    assert [e.data["text"] for e in await on.events(EventKind.PROGRESS)][-1] == (
        "came too late to be read: 1 message by bob"
    )


@pytest.mark.parametrize("text", ["", "  \n", "x" * (LONGEST + 1)])
async def test_an_empty_or_endless_message_is_refused(stage: SetUp, text: str) -> None:
    on = stage(DONE)
    await on.begin()
    with pytest.raises(WrongUse):
        await message_session(on.store, on.session_id, text, by="bob")
    assert await on.events(EventKind.MESSAGE) == []


async def change(on: Stage, *tasks: str) -> None:
    await change_plan(on.store, await on.store.session(on.session_id), tasks, by="bob")


async def test_a_plan_that_a_person_changed_is_carried_out_and_shown_as_theirs(stage: SetUp) -> None:
    on = stage({**DONE, "implement:1": [one for one in IMPLEMENT if one.message.tool_calls[0].name != "plan"]})
    await on.begin(approve_plan=True)
    await on.run()
    await change(on, "Write  subtract", "Name it in  the README")
    await on.answer("approve")
    session = await on.run(turn=2)
    assert session.status is Status.FINISHED
    prompt = on.model.first("implement:1")[1]
    assert "The plan:\nAdd `subtract` beside `add`.\n- Write subtract\n- Test it" in prompt
    assert "bob, a person you work for, changed its steps. These hold" in prompt
    assert prompt.index("- Test it") < prompt.index("- Write subtract\n- Name it in the README")
    description = on.merge_request.description
    assert (
        "- [ ] Write subtract\n- [ ] Name it in the README\n\nChanged by `bob` before it was approved." in description
    )
    assert "Test it" not in description


async def test_the_last_of_several_changes_counts(stage: SetUp) -> None:
    on = stage(DONE)
    await on.begin(approve_plan=True)
    await on.run()
    await change(on, "First thought")
    await change(on, "Second thought")
    await on.answer("approve")
    await on.run(turn=2)
    prompt = on.model.first("implement:1")[1]
    assert "- Second thought" in prompt
    assert "First thought" not in prompt


async def test_a_changed_plan_that_is_sent_back_is_told_to_the_planner_and_then_forgotten(stage: SetUp) -> None:
    on = stage({**DONE, "plan:2": PLAN})
    await on.begin(approve_plan=True)
    await on.run()
    await change(on, "Call it minus")
    await on.answer("reject", "Think again")
    assert (await on.run(turn=2)).status is Status.PLAN_APPROVAL_REQUIRED
    assert "A person changed its steps to these:\n- Call it minus" in on.model.first("plan:2")[1]
    await on.answer("approve")
    assert (await on.run(turn=3)).status is Status.FINISHED
    assert "Call it minus" not in on.model.first("implement:1")[1]
    assert "Changed by" not in on.merge_request.description


async def test_a_plan_is_changed_only_while_it_waits(stage: SetUp) -> None:
    on = stage(DONE)
    await on.begin()
    with pytest.raises(Conflict, match="no plan that waits"):
        await change(on, "Too soon")
    await on.run()
    with pytest.raises(Conflict, match="no plan that waits"):
        await change(on, "Too late")


async def test_a_plan_that_was_answered_is_not_changed_any_more(stage: SetUp) -> None:
    on = stage({"plan:1": PLAN})
    await on.begin(approve_plan=True)
    await on.run()
    await on.answer("approve")
    with pytest.raises(Conflict, match="was answered already"):
        await change(on, "Too late")


async def test_a_plan_has_bounds(stage: SetUp) -> None:
    on = stage(DONE)
    await on.begin(approve_plan=True)
    await on.run()
    before = len(await on.events(EventKind.PLAN))
    for tasks in ((), ("",), ("a", " "), ("x" * (LONGEST_TASK + 1),), ("x",) * (MOST_TASKS + 1)):
        with pytest.raises(WrongUse):
            await change(on, *tasks)
    assert len(await on.events(EventKind.PLAN)) == before


async def test_a_plan_changed_before_a_kill_is_still_the_persons(stage: SetUp) -> None:
    on = stage(DONE)
    await on.begin(approve_plan=True)
    await on.run()
    await change(on, "Only subtract")
    await on.answer("approve")

    def die(name: str) -> None:
        if name == "open_merge_request":
            on.forge.after = lambda name: None
            raise KeyboardInterrupt

    on.forge.after = die
    with pytest.raises(KeyboardInterrupt):
        await on.run(turn=2)
    on.steps.kept.clear()
    assert (await on.run(turn=2)).status is Status.FINISHED
    assert "- Only subtract" in on.model.first("implement:1")[1]
    assert "Changed by `bob`" in on.merge_request.description
