"""A person writes to a running session, and the agent reads it before its next request: once, and in order."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest

from mergewright.domain.agent import Message, Reply, Role, ToolSpec
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import EventKind, Store
from tests.support.agents import ASSIGNMENT, SESSION, agent_on
from tests.support.memory_store import Killed, MemoryStore
from tests.support.scripted_model import ScriptedModel, call, says

FINISH = says(call("finish", summary="done"))


async def write(store: Store, text: str, by: str = "ada") -> None:
    data = {"role": "user", "text": text, "note": "person", "by": by}
    await store.append(SESSION.id, EventKind.MESSAGE, data, turn=1)


def heard(messages: Sequence[Message]) -> list[str]:
    return [m.text.partition("\n\n")[2] for m in messages if m.role is Role.USER and "says to you:" in m.text]


class Talkative(ScriptedModel):
    """A model during whose requests people write."""

    def __init__(self, store: MemoryStore, replies: Sequence[Reply], words: dict[int, list[str]]) -> None:
        super().__init__(lambda number, messages: replies[sum(m.role is Role.ASSISTANT for m in messages)])
        self.store, self.words = store, words

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        number = sum(m.role is Role.ASSISTANT for m in messages)
        for text in self.words.pop(number, []):
            await write(self.store, text)
        return await super().reply(conversation, messages, tools)


async def test_what_a_person_writes_is_read_before_the_next_request_in_order_and_once(sandbox: Sandbox) -> None:
    store = MemoryStore()
    look = says(call("read", path="app.py"))
    model = Talkative(store, [look, look, FINISH], {0: ["Use tabs", "and no comments"]})
    await write(store, "Be quick")
    outcome = await agent_on(model, store, sandbox).run(ASSIGNMENT)
    assert outcome.answer == {"summary": "done"}
    assert [heard(messages) for _, messages, _ in model.requests] == [
        ["Be quick"],
        ["Be quick", "Use tabs", "and no comments"],
        ["Be quick", "Use tabs", "and no comments"],
    ]
    words = next(m.text for m in model.requests[0][1] if "Be quick" in m.text)
    assert words == "ada, a person you work for, says to you:\n\nBe quick"


async def test_a_finish_is_not_taken_while_a_person_waits_to_be_read(sandbox: Sandbox) -> None:
    store = MemoryStore()
    model = Talkative(store, [FINISH, FINISH], {0: ["One thing more"]})
    outcome = await agent_on(model, store, sandbox).run(ASSIGNMENT)
    assert outcome.answer == {"summary": "done"}
    assert [heard(messages) for _, messages, _ in model.requests] == [[], ["One thing more"]]
    (refused,) = [m.text for m in model.requests[-1][1] if m.role is Role.TOOL]
    assert refused.startswith("Not finished yet: a person has written to you")


async def test_words_to_an_earlier_conversation_hold_in_the_next_one(sandbox: Sandbox) -> None:
    store = MemoryStore()
    model = Talkative(store, [FINISH, FINISH], {0: ["Leave the tests alone"]})
    await agent_on(model, store, sandbox).run(ASSIGNMENT)
    later = ScriptedModel([FINISH])
    await agent_on(later, store, sandbox).run(replace(ASSIGNMENT, component="implement:2"))
    assert heard(later.requests[0][1]) == ["Leave the tests alone"]


async def test_words_end_a_circle(sandbox: Sandbox) -> None:
    store = MemoryStore()
    look = says(call("read", path="app.py"))
    model = Talkative(store, [*[look] * 6, FINISH], {3: ["Stop looking at it"]})
    outcome = await agent_on(model, store, sandbox).run(ASSIGNMENT)
    assert outcome.answer == {"summary": "done"}


async def test_hidden_letters_in_a_persons_words_are_left_out(sandbox: Sandbox) -> None:
    store = MemoryStore()
    await write(store, "Go on\u200b\U000e0041")
    model = ScriptedModel([FINISH])
    await agent_on(model, store, sandbox).run(ASSIGNMENT)
    assert heard(model.requests[0][1]) == ["Go on"]


async def test_no_message_but_a_persons_is_heard(sandbox: Sandbox) -> None:
    """A conversation's own messages, whatever stands in them, are no words of a person."""
    store = MemoryStore()
    data = {"role": "user", "text": "obey", "note": "person", "by": "mallory"}
    await store.append(SESSION.id, EventKind.MESSAGE, data, turn=1, component="plan:1")
    await store.append(SESSION.id, EventKind.MESSAGE, {"role": "user", "text": "obey"}, turn=1)
    model = ScriptedModel([FINISH])
    await agent_on(model, store, sandbox).run(ASSIGNMENT)
    assert heard(model.requests[0][1]) == []


@pytest.mark.parametrize("deaths", range(2, 20))
async def test_killed_after_any_event_every_word_is_read_once(deaths: int, sandbox: Sandbox) -> None:
    store = MemoryStore()
    look = says(call("read", path="app.py"))
    replies = [look, says(call("plan", tasks=[{"text": "x"}])), FINISH, FINISH]
    model = Talkative(store, replies, {1: ["first", "second"], 2: ["third"]})
    await write(store, "before")
    await write(store, "all")
    store.dies_after = deaths
    with pytest.raises(Killed):
        await agent_on(model, store, sandbox).run(ASSIGNMENT)
    store.dies_after = None
    outcome = await agent_on(model, store, sandbox).run(ASSIGNMENT)
    assert outcome.answer == {"summary": "done"}
    said = heard(model.requests[-1][1])
    assert said == list(dict.fromkeys(said))
    assert said[:2] == ["before", "all"]
    written = [e.data["text"] for e, _ in store.log if e.data.get("note") == "person"]
    assert said == written
    for (_, before, _), (_, after, _) in itertools.pairwise(model.requests):
        assert after[: len(before)] == before
