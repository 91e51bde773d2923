"""The turn loop: what is asked, what is written down, and how a run ends."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mergewright.agent.guard import ASKS
from mergewright.domain.agent import Limits, Message, Reply, Role, ToolCall
from mergewright.domain.errors import LimitReached, MergewrightError, ModelUnavailable
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import EventKind, Usage
from tests.support.agents import ASSIGNMENT, agent_on, limited
from tests.support.memory_store import MemoryStore
from tests.support.scripted_model import ScriptedModel, call, last_result, says

DONE = says(call("finish", summary="done"))


def raw(name: str, arguments: str) -> Reply:
    return says(ToolCall("x", name, arguments))


async def told(reply: Reply, sandbox: Sandbox) -> str:
    """What the model is told after a reply that cannot be used."""
    model = ScriptedModel([reply, DONE])
    await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    return model.requests[1][1][-1].text


async def test_a_run_ends_with_the_answer_that_finish_was_given(sandbox: Sandbox) -> None:
    model = ScriptedModel([says(call("read", path="app.py")), says(call("finish", summary="read it"))])
    outcome = await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert outcome.answer == {"summary": "read it"}
    assert outcome.usage == Usage(2, 200, 20)
    assert outcome.messages == 6
    conversation, messages, tools = model.requests[0]
    assert conversation == "implement:1"
    assert messages == (Message(Role.SYSTEM, "You are an engineer."), Message(Role.USER, "Do it."))
    assert [tool.name for tool in tools][-1] == "finish"
    assert "def add" in last_result(model.requests[1][1])


async def test_every_step_is_in_the_log_the_intent_before_the_result(sandbox: Sandbox) -> None:
    store = MemoryStore()
    plan = call("plan", tasks=[{"text": "look"}])
    model = ScriptedModel([says(plan, call("run", command="echo hi"), text="I look."), DONE])
    await agent_on(model, store, sandbox).run(ASSIGNMENT)
    assert [str(event.kind) for event, _ in store.log] == [
        *("message", "message", "usage", "message"),
        *("tool_call", "plan", "tool_result", "tool_call", "tool_result"),
        *("usage", "message", "tool_call", "tool_result"),
    ]
    assert {(event.component, event.turn) for event, _ in store.log} == {("implement:1", 1)}
    ran = store.log[8][0].data
    assert (ran["name"], ran["ok"], ran["exit_code"]) == ("run", True, 0)


async def test_the_next_request_begins_with_the_last_one_over_fifty_steps(sandbox: Sandbox) -> None:
    def script(number: int, messages: Sequence[Message]) -> Reply:
        return says(call("plan", tasks=[{"text": f"step {number}"}])) if number < 50 else DONE

    model = ScriptedModel(script)
    await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert len(model.requests) == 51
    for (_, before, tools), (_, after, same_tools) in itertools.pairwise(model.requests):
        assert after[: len(before)] == before
        assert len(after) > len(before)
        assert tools == same_tools


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (says(), "Your reply was empty"),
        (says(text="  \n"), "Your reply was empty"),
        (says(text="All done, I think."), "calls no tool"),
        (says(text="I begin by", cut=True), "cut off at its length limit"),
        (raw("unknown", "{}"), "there is no tool `unknown`: read, search"),
        (raw("read", '{"path": '), "the arguments are not JSON"),
        (replace(raw("write", '{"path": "x", "content": "abc'), cut=True), "cut off at its length limit"),
        (raw("read", "[1]"), "not a JSON object"),
        (raw("read", "{}"), "`path` is missing"),
        (raw("read", '{"path": "a", "line": 3}'), "`line` is not known here"),
        (raw("read", '{"path": 7}'), "`path` must be of type string"),
        (raw("edit", '{"path": "a", "edits": [{"old": "x"}]}'), "`edits[0].new` is missing"),
        (raw("read", '{"path": "\\ud800"}'), "half of a letter"),
        (raw("finish", '{"summary": 1}'), "`summary` must be of type string"),
        (says(call("finish", summary="x"), call("read", path="app.py")), "def add"),
        (says(call("read", path="nothing"), call("finish", summary="x")), "a call before `finish` failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_reply_that_cannot_be_used_is_answered_and_never_taken_for_success(
    reply: Reply, words: str, sandbox: Sandbox
) -> None:
    assert words in await told(reply, sandbox)


async def test_an_empty_reply_stays_in_its_place_with_a_text_that_providers_take(sandbox: Sandbox) -> None:
    model = ScriptedModel([says(), DONE])
    await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    (_, _, empty, told) = model.requests[1][1]
    assert (empty.role, empty.text, told.role) == (Role.ASSISTANT, "(empty)", Role.USER)


async def test_arguments_that_are_not_json_go_back_as_json_that_a_server_can_read(sandbox: Sandbox) -> None:
    model = ScriptedModel([raw("read", '{"path": '), DONE])
    await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert model.requests[1][1][2].tool_calls[0].arguments == '{"not_json": "{\\"path\\": "}'


@pytest.mark.parametrize("reply", [says(), says(text="hm"), raw("unknown", "{}"), raw("read", "{")])
async def test_a_model_that_is_never_understood_is_asked_so_many_times_and_no_more(
    reply: Reply, sandbox: Sandbox
) -> None:
    model = ScriptedModel(lambda number, messages: reply)
    with pytest.raises(MergewrightError, match=f"{ASKS + 1} times in a row"):
        await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert len(model.requests) == ASKS + 1


async def test_a_good_reply_in_between_gives_the_model_new_tries(sandbox: Sandbox) -> None:
    bad, good = says(text="hm"), says(call("read", path="app.py"))
    model = ScriptedModel([bad, bad, bad, good, bad, bad, bad, DONE])
    outcome = await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert outcome.answer == {"summary": "done"}


async def test_calls_with_the_same_id_or_none_are_told_apart(sandbox: Sandbox) -> None:
    calls = tuple(ToolCall(name, "read", '{"path": "app.py"}') for name in ("", "a", "a", ""))
    model = ScriptedModel([Reply(Message(Role.ASSISTANT, "", calls), Usage(1)), DONE])
    await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    (_, _, asked, *answers) = model.requests[1][1]
    assert [one.id for one in asked.tool_calls] == [one.call_id for one in answers]
    assert len({one.call_id for one in answers}) == 4


async def test_optional_arguments_given_as_null_are_left_out(sandbox: Sandbox) -> None:
    model = ScriptedModel([says(call("read", path="app.py", start=None, symbol=None)), DONE])
    await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert last_result(model.requests[1][1]).startswith("app.py · lines 1-2 of 2")


async def test_the_same_step_four_times_in_a_row_ends_the_run(sandbox: Sandbox) -> None:
    def script(number: int, messages: Sequence[Message]) -> Reply:
        words = f"Now I try for the {number}th time."
        return says(call("run", command="date +%T; sleep 0.0; echo took 0.$RANDOM s"), text=words)

    model = ScriptedModel(script)
    with pytest.raises(MergewrightError, match="the same 4 times in a row") as end:
        await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert len(model.requests) == 4
    assert end.value.hint


async def test_two_steps_that_come_again_together_are_a_standstill_too(sandbox: Sandbox) -> None:
    both = [call("read", path="app.py"), call("search", pattern="two")]
    model = ScriptedModel(lambda number, messages: says(*both if number % 2 else reversed(both)))
    with pytest.raises(MergewrightError, match="the same 4 times in a row"):
        await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert len(model.requests) == 4


async def test_the_same_action_with_another_result_is_no_standstill(sandbox: Sandbox) -> None:
    step = says(call("run", command="echo x >> log; wc -l < log"))
    model = ScriptedModel([step] * 6 + [DONE])
    await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert len(model.requests) == 7


async def test_reads_of_one_reply_run_side_by_side_and_answer_in_order(sandbox: Sandbox, tree: Path) -> None:
    calls = [call("read", path="app.py"), call("search", pattern="two"), call("read", path="src")]
    store = MemoryStore()
    model = ScriptedModel([says(*calls), DONE])
    await agent_on(model, store, sandbox).run(ASSIGNMENT)
    results = [event.data["name"] for event, _ in store.log if event.kind is EventKind.TOOL_RESULT]
    assert results == ["read", "search", "read", "finish"]
    kinds = [str(event.kind) for event, _ in store.log][4:10]
    assert kinds == ["tool_call"] * 3 + ["tool_result"] * 3
    ids = [message.call_id for message in model.requests[1][1][-3:]]
    assert ids == ["call_1", "call_2", "call_3"]


async def test_calls_that_change_something_run_one_after_the_other(sandbox: Sandbox, tree: Path) -> None:
    calls = [call("run", command=f"sleep 0.0{3 - n}; echo {n} >> order") for n in range(3)]
    model = ScriptedModel([says(*calls), DONE])
    await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)
    assert (tree / "order").read_text() == "0\n1\n2\n"


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"turns": 5}, "5 of 5 turns"), ({"tokens": 600}, "660 of 600 tokens"), ({"seconds": 10}, "of 10 seconds")],
)
async def test_a_run_is_warned_once_before_its_limit_and_then_ended(
    limits: dict[str, int], words: str, sandbox: Sandbox
) -> None:
    ticks = iter(range(1000))
    model = ScriptedModel(lambda number, messages: says(call("plan", tasks=[{"text": f"step {number}"}])))
    agent = agent_on(model, MemoryStore(), sandbox, clock=lambda: float(next(ticks)))
    with pytest.raises(LimitReached, match=words):
        await agent.run(limited(**limits))
    warnings = [message.text for message in model.requests[-1][1] if message.text.startswith("You have used")]
    assert len(warnings) == 1
    assert "call finish" in warnings[0]


@pytest.mark.parametrize("nothing", [Limits(turns=0), Limits(tokens=0), Limits(seconds=0), Limits(cost=0.0)])
async def test_where_nothing_is_left_the_model_is_not_asked(nothing: Limits, sandbox: Sandbox) -> None:
    model = ScriptedModel([DONE])
    with pytest.raises(LimitReached):
        await agent_on(model, MemoryStore(), sandbox).run(replace(ASSIGNMENT, limits=nothing))
    assert model.requests == []


async def test_money_is_a_limit_too(sandbox: Sandbox) -> None:
    dear = Usage(1, 10, 10, cost=0.4)
    model = ScriptedModel(lambda n, messages: says(call("plan", tasks=[{"text": f"{n}"}]), usage=dear))
    with pytest.raises(LimitReached, match=r"\$1\.20 of \$1\.00"):
        await agent_on(model, MemoryStore(), sandbox).run(replace(ASSIGNMENT, limits=Limits(cost=1.0)))


async def test_a_model_that_does_not_answer_in_time_ends_the_run(sandbox: Sandbox) -> None:
    class Slow(ScriptedModel):
        async def reply(self, *args: object, **more: object) -> Reply:
            await asyncio.sleep(60)
            return DONE

    with pytest.raises(LimitReached, match="1 seconds"):
        await agent_on(Slow([]), MemoryStore(), sandbox).run(limited(seconds=1))


async def test_after_its_usual_number_of_turns_a_component_is_told_to_wrap_up(sandbox: Sandbox) -> None:
    plans = [says(call("plan", tasks=[{"text": f"{n}"}])) for n in range(4)]
    model = ScriptedModel([*plans, DONE])
    await agent_on(model, MemoryStore(), sandbox).run(replace(ASSIGNMENT, max_cycles=2))
    told_at = [
        number for number, (_, messages, _) in enumerate(model.requests) if "Bring the work" in messages[-1].text
    ]
    assert told_at == [2]


async def test_the_models_time_counts_and_the_time_of_tools_too(sandbox: Sandbox) -> None:
    now = [0.0]

    def slowly(number: int, messages: Sequence[Message]) -> Reply:
        now[0] += 3
        return says(call("plan", tasks=[{"text": f"{number}"}]))

    model = ScriptedModel(slowly)
    with pytest.raises(LimitReached, match="12 of 10 seconds"):
        await agent_on(model, MemoryStore(), sandbox, clock=lambda: now[0]).run(limited(seconds=10))
    model = ScriptedModel(lambda number, messages: says(call("run", command=f"sleep 0.3; echo {number}")))
    with pytest.raises(LimitReached, match="of 1 seconds"):
        await agent_on(model, MemoryStore(), sandbox).run(limited(seconds=1))
    assert len(model.requests) <= 4


async def test_the_warning_comes_at_85_percent(sandbox: Sandbox) -> None:
    model = ScriptedModel(lambda number, messages: says(call("plan", tasks=[{"text": f"{number}"}])))
    with pytest.raises(LimitReached):
        await agent_on(model, MemoryStore(), sandbox).run(limited(turns=20))
    assert "17 of 20 turns (85 %)" in model.requests[17][1][-1].text


async def test_the_models_own_errors_end_the_run_as_they_are(sandbox: Sandbox) -> None:
    model = ScriptedModel([ModelUnavailable("every try failed")])
    with pytest.raises(ModelUnavailable):
        await agent_on(model, MemoryStore(), sandbox).run(ASSIGNMENT)


async def test_steps_cost_the_same_at_the_end_of_a_long_run(sandbox: Sandbox) -> None:
    """Counted, not timed: what a step reads and writes does not grow with the steps before it."""

    store = MemoryStore()
    written: list[int] = []

    def script(number: int, messages: Sequence[Message]) -> Reply:
        written.append(sum(len(text) for _, text in store.log))
        return says(call("plan", tasks=[{"text": f"step {number:03}"}])) if number < 200 else DONE

    await agent_on(ScriptedModel(script), store, sandbox).run(replace(ASSIGNMENT, limits=Limits(turns=500)))
    # Once for the log, then for what people may have written meanwhile: before each reply, and before the finish.
    assert store.reads == 1 + 201 + 1
    steps = [after - before for before, after in itertools.pairwise(written)]
    assert max(steps[100:]) <= max(steps[:10]) + 20
