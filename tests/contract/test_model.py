"""What every model must do, whichever way it is reached."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mergewright.domain.agent import Message, Model, Role, ToolSpec
from mergewright.domain.errors import ContextOverflow, ModelRefused, ModelUnavailable
from mergewright.models.select import ModelSettings, open_model
from tests.support.model_stub import Answer, Fault, ModelStub, Script, call, calls, overflow, say

TOOLS = [ToolSpec("read", "Read a file", {"type": "object", "properties": {"path": {"type": "string"}}})]
ASK = [Message(Role.SYSTEM, "You write code."), Message(Role.USER, "Fix it.")]
LIVE = ["chat", "anthropic", "vllm"]

Open = Callable[[ModelStub], Model]


def settings(stub: ModelStub, base_url: str = "") -> ModelSettings:
    return ModelSettings(base_url=base_url or stub.base_url, api_key="key-1", retries=1, silence=5.0)


OPENERS: dict[str, Open] = {
    "chat": lambda stub: open_model("openai:m", settings(stub)),
    "anthropic": lambda stub: open_model(
        "anthropic:claude-sonnet-5", settings(stub, stub.base_url.removesuffix("/v1"))
    ),
    "vllm": lambda stub: open_model("vllm:m", settings(stub)),
}


class Place:
    """Where a model answers by a script: a stub, or a recording of what it said."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.folder = folder
        self.open: list[Model] = []

    async def converse(self, script: list[Answer], results: list[str]) -> list[Message]:
        """Ask, answer the calls with these results, ask again, to the end of the script."""
        with ModelStub(script) as stub:
            if self.kind != "recorded":
                return await self._converse(OPENERS[self.kind](stub), script, results)
            path = self.folder / "r.jsonl"
            live = open_model("openai:m", settings(stub), record=path)
            await self._converse(live, script, results)
        return await self._converse(open_model(f"recorded:{path}", ModelSettings()), script, results)

    async def _converse(self, model: Model, script: list[Answer], results: list[str]) -> list[Message]:
        self.open.append(model)
        messages, left = list(ASK), iter(results)
        for _ in script:
            reply = await model.reply("implement:1", messages, TOOLS)
            assert reply.usage.requests == 1
            assert reply.usage.input_tokens == 100
            assert reply.usage.output_tokens == 10
            messages.append(reply.message)
            messages += [Message(Role.TOOL, next(left), call_id=wanted.id) for wanted in reply.message.tool_calls]
        return messages[len(ASK) :]


@pytest.fixture(params=[*LIVE, "recorded"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(request.param, tmp_path)
    yield place
    for model in place.open:
        await model.close()


async def test_a_conversation_with_tools_runs_to_its_end(place: Place) -> None:
    script = [
        call("read", {"path": "a"}, id="c1"),
        calls(("read", {"path": "b"}, "c2"), ("read", {}, "c3")),
        say("Done"),
    ]
    said = [m for m in await place.converse(script, ["A", "B", "C"]) if m.role is Role.ASSISTANT]
    wanted = [(c.id, c.name, json.loads(c.arguments)) for message in said for c in message.tool_calls]
    assert wanted == [("c1", "read", {"path": "a"}), ("c2", "read", {"path": "b"}), ("c3", "read", {})]
    assert [message.text for message in said] == ["", "", "Done"]


async def test_text_beside_a_call_is_kept(place: Place) -> None:
    said = await place.converse([{**call("read", {"path": "ä"}, id="c1"), "content": "Läse ☃"}], ["A"])
    assert said[0].text == "Läse ☃"
    assert json.loads(said[0].tool_calls[0].arguments) == {"path": "ä"}


async def test_a_message_goes_through_the_log_unchanged(place: Place) -> None:
    said = await place.converse([call("read", {"path": "a"}, id="c1")], ["A"])
    assert Message.decode(json.loads(json.dumps(said[0].encode()))) == said[0]


async def test_an_empty_reply_is_handed_on_as_it_is(place: Place) -> None:
    said = await place.converse([say("")], [])
    assert said == [Message(Role.ASSISTANT, "")]


@pytest.fixture(params=LIVE)
def opener(request: pytest.FixtureRequest) -> Open:
    return OPENERS[request.param]


async def failing(opener: Open, script: Script) -> ModelStub:
    with ModelStub(script) as stub:
        model = opener(stub)
        try:
            await model.reply("a:1", ASK, TOOLS)
        finally:
            await model.close()
    return stub


async def test_a_passing_fault_is_survived(opener: Open) -> None:
    stub = await failing(opener, [Fault(503, headers={"Retry-After": "0"}), say("ok")])
    assert len(stub.requests) == 2


async def test_a_fault_that_stays_ends_in_model_unavailable(opener: Open) -> None:
    with pytest.raises(ModelUnavailable, match="after 2 tries"):
        await failing(opener, lambda _: Fault(500, headers={"Retry-After": "0"}))


async def test_a_wrong_key_ends_in_model_refused(opener: Open) -> None:
    with pytest.raises(ModelRefused) as caught:
        await failing(opener, [Fault(401)])
    assert "API key" in caught.value.hint


async def test_a_full_context_ends_in_context_overflow(opener: Open) -> None:
    with pytest.raises(ContextOverflow):
        await failing(opener, [overflow()])
