"""What happens when the conversation is longer than the model takes."""

from pathlib import Path

import pytest

from mergewright.agent.compact import NOTE, compact, size
from mergewright.domain.agent import Message, Role, ToolCall
from mergewright.domain.errors import ContextOverflow
from mergewright.domain.sandbox import Sandbox
from tests.support.agents import ASSIGNMENT, agent_on
from tests.support.memory_store import MemoryStore
from tests.support.scripted_model import ScriptedModel, call, says

OPENING = [Message(Role.SYSTEM, "s" * 5000), Message(Role.USER, "u" * 5000)]


def asked(number: int, arguments: str = "{}", provider: str = "") -> Message:
    return Message(Role.ASSISTANT, "", (ToolCall(f"c{number}", "read", arguments),), provider=provider)


def answered(number: int, text: str) -> Message:
    return Message(Role.TOOL, text, call_id=f"c{number}")


def test_old_results_become_one_line_and_new_ones_stay() -> None:
    messages = list(OPENING)
    for number in range(10):
        messages += [asked(number), answered(number, f"file {number} · lines\n" + "text\n" * 1000)]
    short = compact(messages)
    assert short[:2] == OPENING
    assert short[3].text == "file 0 · lines [… 5001 more characters left out]"
    assert short[-1] == messages[-1]
    assert short[-3] == messages[-3]
    assert [m.call_id for m in short] == [m.call_id for m in messages]
    assert size(short) < size(messages) / 2


def test_one_result_that_is_too_long_alone_keeps_its_head_and_tail() -> None:
    messages = [*OPENING, asked(0), answered(0, "\n".join(f"line {n}" for n in range(2000)))]
    text = compact(messages)[-1].text
    assert len(text) < len(messages[-1].text) / 3
    assert text.startswith("line 0\nline 1\n")
    assert text.endswith("\nline 1999")
    assert "lines left out]" in text


def test_long_arguments_of_old_calls_are_shortened_and_stay_json() -> None:
    long = '{"path": "a", "content": "' + "x" * 5000 + '"}'
    messages = [
        *OPENING,
        asked(0, long),
        answered(0, "ok"),
        asked(1, long, "signed"),
        answered(1, "ok"),
        asked(2, long),
    ]
    short = compact(messages)
    assert short[2].tool_calls[0].arguments.endswith('x [… 4800 more characters left out]"}')
    assert short[4] == messages[4]
    assert short[6] == messages[6]


async def test_a_run_goes_on_after_its_conversation_was_made_shorter(sandbox: Sandbox, tree: Path) -> None:
    (tree / "big").write_text("a line of a big file\n" * 900)
    reads = [says(call("read", path="big", start=n)) for n in (1, 2, 3)]
    overflow = ContextOverflow("too long")
    model = ScriptedModel([*reads, overflow, *reads, overflow, says(call("finish", summary="done"))])
    outcome = await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert outcome.answer == {"summary": "done"}
    assert model.requests[4][1][-1].text == NOTE
    assert size(model.requests[4][1]) < size(model.requests[3][1]) / 2


async def test_a_conversation_that_is_still_too_long_ends_the_run(sandbox: Sandbox, tree: Path) -> None:
    (tree / "big").write_text("a line of a big file\n" * 900)
    read = says(call("read", path="big"))
    overflow = ContextOverflow("too long")
    model = ScriptedModel([read, overflow, overflow])
    with pytest.raises(ContextOverflow, match="even after older results were cut"):
        await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)


async def test_where_there_is_nothing_to_cut_the_run_ends_at_once(sandbox: Sandbox) -> None:
    model = ScriptedModel([ContextOverflow("too long")])
    with pytest.raises(ContextOverflow):
        await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert len(model.requests) == 1
