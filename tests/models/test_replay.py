"""A session that was recorded once is replayed: the same way round, and in any other it says where it left."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mergewright.domain.agent import Message, Model, Role, ToolCall, ToolSpec
from mergewright.domain.errors import ReplayDiverged, WrongUse
from mergewright.models.select import ModelSettings, open_model
from tests.support.model_stub import Answer, ModelStub, call, calls, say

TOOLS = [ToolSpec("run", "Run a command", {"type": "object"})]
Run = Callable[[str, str], str]


def prompt(work_tree: str, wording: str = "Fix the bug.") -> list[Message]:
    return [Message(Role.SYSTEM, wording), Message(Role.USER, f"Working directory: {work_tree}\n\nGo on.")]


async def talk(
    model: Model, label: str, run: Run, *, work_tree: str = "/tmp/w1", wording: str = "Fix the bug."
) -> list[Message]:
    """What an agent does: answers each call with a result until there is none."""
    messages = prompt(work_tree, wording)
    for _ in range(20):
        reply = await model.reply(label, messages, TOOLS)
        messages.append(reply.message)
        if not reply.message.tool_calls:
            return messages
        for wanted in reply.message.tool_calls:
            messages.append(Message(Role.TOOL, run(wanted.name, wanted.arguments), call_id=wanted.id))
    raise AssertionError("the conversation does not end")


def result_in(work_tree: str, seconds: str, sha: str) -> Run:
    return lambda name, arguments: f"exit 0 in {seconds}\n{work_tree}/a.py:3 at {sha}\n{name}"


SCRIPT: Sequence[Answer] = [
    call("run", {"command": "cd /tmp/w1 && make"}, id="c1"),
    calls(("run", {"command": "ls", "n": 1}, "c2"), ("run", {"command": "cat /tmp/w1/a"}, "c3")),
    say("Done in /tmp/w1, é☃"),
]


def contents(path: Path) -> str:
    return path.read_text()


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
async def recording(tmp_path: Path) -> Path:
    path = tmp_path / "session.jsonl"
    with ModelStub(SCRIPT) as stub:
        settings = ModelSettings(base_url=stub.base_url, api_key="top-secret-key")
        model = open_model("openai:m", settings, record=path)
        await talk(model, "implement:1", result_in("/tmp/w1", "0.12s", "1a2b3c4"))
        await model.close()
    return path


def replay(path: Path) -> Model:
    return open_model(f"recorded:{path}", ModelSettings(retries=0))


async def test_a_session_is_replayed_elsewhere_under_another_prompt(recording: Path) -> None:
    model = replay(recording)
    run = result_in("/home/ana/x-9", "1.7 s", "fedcba9876543210")
    messages = await talk(model, "implement:1", run, work_tree="/home/ana/x-9", wording="A better prompt.")
    await model.close()
    assert messages[-1].text == "Done in /home/ana/x-9, é☃"
    wanted = [c for message in messages for c in message.tool_calls]
    assert [c.id for c in wanted] == ["c1", "c2", "c3"]
    assert json.loads(wanted[0].arguments) == {"command": "cd /home/ana/x-9 && make"}


async def test_a_replay_counts_the_recorded_tokens_and_costs_nothing(recording: Path) -> None:
    model = replay(recording)
    usage = (await model.reply("implement:1", prompt("/w"), TOOLS)).usage
    await model.close()
    assert (usage.requests, usage.input_tokens, usage.output_tokens, usage.cost) == (1, 100, 10, None)


async def test_a_recording_is_read_by_people_and_holds_neither_prompts_nor_secrets(recording: Path) -> None:
    text = contents(recording)
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0] == {"format": "mergewright-recording", "version": 1, "model": "openai:m"}
    assert [(line["conversation"], line["exchange"]) for line in lines[1:]] == [("implement:1", n) for n in range(3)]
    assert lines[1]["tool_calls"][0]["arguments"] == {"command": "cd {work-tree} && make"}
    assert lines[2]["results"] == [{"id": "c1", "text": "exit 0 in <duration>\n{work-tree}/a.py:3 at <hash>\nrun"}]
    assert "top-secret-key" not in text
    assert "Fix the bug" not in text
    assert "é☃" in text


async def test_a_key_that_the_model_repeats_does_not_get_into_the_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ModelStub([say("the key is top-secret-key and glpat-AbCdEfGhIjKlMnOpQrSt")]) as stub:
        model = open_model("openai:m", ModelSettings(base_url=stub.base_url, api_key="top-secret-key"), record=path)
        reply = await model.reply("a:1", prompt("/w"), TOOLS)
        await model.close()
    assert "top-secret-key" in reply.message.text
    assert json.loads(contents(path).splitlines()[1])["text"] == "the key is <key> and <key>"


async def test_another_result_diverges_and_shows_where(recording: Path) -> None:
    model = replay(recording)
    with pytest.raises(ReplayDiverged) as caught:
        await talk(model, "implement:1", lambda *_: "exit 1 in 0.1s\n/tmp/w1/a.py:3 at 1a2b3c4\nrun")
    await model.close()
    message = caught.value.message
    assert "`implement:1` went another way at exchange 1" in message
    assert "`run` (c1)" in message
    assert "-exit 0 in <duration>\n+exit 1 in <duration>" in message
    assert "--record" in caught.value.hint


async def test_a_missing_result_diverges(recording: Path) -> None:
    model = replay(recording)
    messages = prompt("/tmp/w1")
    messages.append((await model.reply("implement:1", messages, TOOLS)).message)
    with pytest.raises(ReplayDiverged, match="is missing"):
        await model.reply("implement:1", [*messages, Message(Role.USER, "and?")], TOOLS)
    await model.close()


async def test_other_calls_than_the_recorded_ones_diverge(recording: Path) -> None:
    model = replay(recording)
    strange = Message(Role.ASSISTANT, "", (ToolCall("c1", "run", '{"command": "rm"}'),))
    with pytest.raises(ReplayDiverged, match="tool calls differ") as caught:
        await model.reply("implement:1", [*prompt("/tmp/w1"), strange], TOOLS)
    await model.close()
    assert '+run {"command": "rm"}' in caught.value.message


async def test_an_unknown_conversation_and_one_that_goes_on_too_long_diverge(recording: Path) -> None:
    model = replay(recording)
    with pytest.raises(ReplayDiverged, match="holds no conversation `verify:1`; it holds `implement:1`"):
        await model.reply("verify:1", prompt("/tmp/w1"), TOOLS)
    messages = await talk(model, "implement:1", result_in("/tmp/w1", "1s", "1234567"))
    with pytest.raises(ReplayDiverged, match="ends after 3 exchanges"):
        await model.reply("implement:1", [*messages, Message(Role.USER, "more")], TOOLS)
    await model.close()


async def test_the_same_question_gets_the_same_answer_also_from_another_process(recording: Path) -> None:
    first, second = replay(recording), replay(recording)
    messages = await talk(first, "implement:1", result_in("/tmp/w1", "1s", "1234567"))
    until = next(n for n, message in enumerate(messages) if message.role is Role.TOOL) + 1
    again = [await model.reply("implement:1", messages[:until], TOOLS) for model in (first, second, first)]
    await first.close()
    await second.close()
    assert {reply.message for reply in again} == {messages[until]}


async def test_an_interrupted_command_agrees_with_any_result(recording: Path) -> None:
    model = replay(recording)
    messages = await talk(model, "implement:1", lambda *_: "[interrupted: the command may have run or not]")
    await model.close()
    assert messages[-1].text.startswith("Done")


async def test_old_results_may_have_been_shortened_since(recording: Path) -> None:
    model = replay(recording)
    messages = await talk(model, "implement:1", result_in("/tmp/w1", "1s", "1234567"))
    asked = messages[:-1]
    first = next(n for n, message in enumerate(asked) if message.role is Role.TOOL)
    asked[first] = Message(Role.TOOL, "(left out)", call_id=asked[first].call_id)
    reply = await model.reply("implement:1", asked, TOOLS)
    await model.close()
    assert reply.message == messages[-1]


async def test_runs_of_one_component_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ModelStub([say("one"), say("two"), say("planned")]) as stub:
        model = open_model("local:m", ModelSettings(base_url=stub.base_url), record=path)
        for label in ("implement:1", "implement:2", "plan it ☃:1"):
            await model.reply(label, prompt("/w"), TOOLS)
        await model.close()
    model = replay(path)
    replies = [await model.reply(label, prompt("/w"), TOOLS) for label in ("implement:2", "plan it ☃:1", "implement:1")]
    await model.close()
    assert [reply.message.text for reply in replies] == ["two", "planned", "one"]


async def test_an_exchange_that_was_recorded_twice_counts_as_it_stood_last(recording: Path) -> None:
    with ModelStub([say("Another way")]) as stub:
        model = open_model("openai:m", ModelSettings(base_url=stub.base_url), record=recording)
        await model.reply("implement:1", prompt("/w"), TOOLS)
        await model.close()
    model = replay(recording)
    assert (await model.reply("implement:1", prompt("/w"), TOOLS)).message.text == "Another way"
    await model.close()


async def test_a_line_that_was_cut_off_by_a_kill_is_dropped_when_recording_goes_on(recording: Path) -> None:
    whole = contents(recording)
    write(recording, whole + '{"conversation": "implem')
    with ModelStub([say("x")]) as stub:
        model = open_model("openai:m", ModelSettings(base_url=stub.base_url), record=recording)
        await model.reply("verify:1", prompt("/w"), TOOLS)
        await model.close()
    assert contents(recording).startswith(whole + '{"conversation": "verify:1"')


async def test_arguments_that_are_no_json_and_text_with_odd_separators_survive(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with ModelStub([call("run", '{"command": "a', id="c1", content="x\u2028y\x85z", finish_reason="length")]) as stub:
        model = open_model("local:m", ModelSettings(base_url=stub.base_url), record=path)
        said = await model.reply("a:1", prompt("/w"), TOOLS)
        await model.close()
    model = replay(path)
    again = await model.reply("a:1", prompt("/w"), TOOLS)
    await model.close()
    assert again.message == said.message
    assert again.cut


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not part of a recording"),
        ("hello\n", "not part of a recording"),
        ("{}\n", "not a recording"),
        ('{"format": "mergewright-recording", "version": 9}\n', "version 9"),
        ('{"format": "mergewright-recording", "version": 1}\n{"conversation": "a:1"}\n', "Line 2"),
    ],
)
def test_a_file_that_is_no_recording_is_wrong_use(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(WrongUse, match=said):
        replay(path)


def test_a_recording_that_is_not_there_or_cannot_be_written_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="Cannot read"):
        replay(tmp_path / "none.jsonl")
    with pytest.raises(WrongUse, match="Cannot record"):
        open_model("local:m", ModelSettings(), record=tmp_path / "none" / "r.jsonl")


async def test_the_replaying_server_answers_only_who_knows_its_key(recording: Path) -> None:
    from mergewright.domain.errors import ModelRefused
    from mergewright.models.chat import ChatModel
    from mergewright.models.replay import Recorded

    model = Recorded(recording)
    await model.reply("implement:1", prompt("/w"), TOOLS)
    wire = await model._served.get().wire()
    stranger = ChatModel("x", "x", base_url=wire._url, api_key="guess")
    with pytest.raises(ModelRefused, match="401"):
        await stranger.reply("implement:1", prompt("/w"), TOOLS)
    await stranger.close()
    await model.close()
