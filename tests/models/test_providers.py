"""Providers through pydantic-ai, pointed at a stub by their base URL."""

import json

import pytest

from mergewright.domain.agent import Message, Model, Role, ToolCall, ToolSpec
from mergewright.domain.errors import ContextOverflow, ModelRefused, ModelUnavailable, WrongUse
from mergewright.models.cost import Price
from mergewright.models.select import ModelSettings, open_model
from tests.support.model_stub import Fault, ModelStub, call, say

TOOLS = [ToolSpec("read", "Read a file", {"type": "object", "properties": {"path": {"type": "string"}}})]
ASK = [Message(Role.SYSTEM, "You write code."), Message(Role.USER, "Fix it.")]


def claude(stub: ModelStub, **options: object) -> Model:
    base_url = stub.base_url.removesuffix("/v1")
    settings = ModelSettings(base_url=base_url, api_key="secret-key-1", **{"retries": 0, **options})  # type: ignore[arg-type]
    return open_model("anthropic:claude-sonnet-5", settings)


async def test_anthropic_gets_the_conversation_in_its_own_form_with_its_cache_on() -> None:
    messages = [
        *ASK,
        Message(Role.ASSISTANT, "Reading", (ToolCall("c1", "read", '{"path":"a"}'),)),
        Message(Role.TOOL, "text of a", call_id="c1"),
        Message(Role.USER, "Hurry up."),
    ]
    with ModelStub([call("read", {"path": "b"}, id="c2")]) as stub:
        model = claude(stub)
        reply = await model.reply("implement:1", messages, TOOLS)
        await model.close()
    request = stub.requests[0]
    assert reply.message.tool_calls[0].name == "read"
    assert "You write code." in json.dumps(request["system"])
    assert [message["role"] for message in request["messages"]] == ["user", "assistant", "user"]
    result, hurry = request["messages"][2]["content"]
    assert (result["tool_use_id"], hurry["text"]) == ("c1", "Hurry up.")
    assert "cache_control" in json.dumps(request)
    assert stub.headers[0]["authorization"] == "Bearer secret-key-1"


async def test_signed_thoughts_go_back_as_they_came() -> None:
    with ModelStub([{**call("read", {}, id="c1"), "thinking": "hm"}, say("ok")]) as stub:
        model = claude(stub)
        first = (await model.reply("a:1", ASK, TOOLS)).message
        result = Message(Role.TOOL, "x", call_id="c1")
        await model.reply("a:1", [*ASK, Message.decode(first.encode()), result], TOOLS)
        await model.close()
    assert first.text == ""
    block = stub.requests[1]["messages"][1]["content"][0]
    assert (block["type"], block["thinking"], block["signature"]) == ("thinking", "hm", "sig-1")


async def test_a_plain_reply_keeps_nothing_for_the_provider() -> None:
    with ModelStub([say("ok")]) as stub:
        model = claude(stub)
        assert (await model.reply("a:1", ASK, TOOLS)).message == Message(Role.ASSISTANT, "ok")
        await model.close()


async def test_the_list_price_or_a_given_one_becomes_the_cost() -> None:
    usage = {"input_tokens": 1000, "output_tokens": 100}
    with ModelStub(lambda _: say("ok", usage=usage)) as stub:
        listed, given = claude(stub), claude(stub, price=Price(1.0, 10.0))
        costs = [(await model.reply("a:1", ASK, TOOLS)).usage.cost for model in (listed, given)]
        await listed.close()
        await given.close()
    assert costs[0] is not None
    assert 0 < costs[0] < 1
    assert costs[1] == pytest.approx(0.002)


CURABLE = {
    "429": Fault(429),
    "500": Fault(500),
    "529": Fault(529),
    "reset": Fault(reset=True),
    "cut": Fault(cut=say("half a sentence")),
    "cut in a call": Fault(cut=call("read", {"path": "a"}, id="c1")),
    "broken off": Fault(cut=say("half a sentence"), reset=True),
    "html": Fault(200, body="<html>", headers={"Content-Type": "text/html"}),
    "silence": Fault(silence=30.0),
}


@pytest.mark.parametrize("name", CURABLE)
async def test_a_passing_fault_is_tried_once_for_each_try_of_ours(name: str) -> None:
    with ModelStub([CURABLE[name], CURABLE[name]]) as stub:
        model = claude(stub, silence=0.5)
        with pytest.raises(ModelUnavailable):
            await model.reply("a:1", ASK, TOOLS)
        await model.close()
        assert len(stub.requests) == 1


async def test_retry_after_reaches_our_retry_layer() -> None:
    said: list[str] = []
    with ModelStub([Fault(429, headers={"retry-after": "0.2"}), say("ok")]) as stub:
        model = claude(stub, retries=1, on_wait=said.append)
        await model.reply("a:1", ASK, TOOLS)
        await model.close()
        assert stub.times[1] - stub.times[0] >= 0.2
    assert "trying again in 0.2 s" in said[0]


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_comes_at_once_and_shows_no_key(status: int) -> None:
    body = json.dumps({"type": "error", "error": {"type": "x", "message": "no to secret-key-1"}})
    with ModelStub([Fault(status, body=body)]) as stub:
        model = claude(stub, retries=3)
        with pytest.raises(ModelRefused, match="no to <key>"):
            await model.reply("a:1", ASK, TOOLS)
        await model.close()
        assert len(stub.requests) == 1


async def test_a_conversation_that_is_too_long_is_recognised() -> None:
    error = {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}
    with ModelStub([Fault(400, body=json.dumps({"type": "error", "error": error}))]) as stub:
        model = claude(stub)
        with pytest.raises(ContextOverflow):
            await model.reply("a:1", ASK, TOOLS)
        await model.close()


def test_a_missing_key_names_the_setting() -> None:
    with pytest.raises(WrongUse) as caught:
        open_model("anthropic:claude-sonnet-5", ModelSettings())
    assert "ANTHROPIC_API_KEY" in caught.value.hint


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(WrongUse) as caught:
        open_model("groq:llama", ModelSettings(api_key="k"))
    assert "groq" in caught.value.message
    assert "pydantic-ai-slim[groq]" in caught.value.hint


def test_an_unknown_provider_gets_the_list_of_forms() -> None:
    with pytest.raises(WrongUse, match="no provider `skynet`") as caught:
        open_model("skynet:t-800", ModelSettings(api_key="k"))
    assert "recorded:FILE" in caught.value.hint


def test_a_provider_without_a_base_url_says_so() -> None:
    with pytest.raises(WrongUse, match="own address"):
        open_model("deepseek:deepseek-chat", ModelSettings(api_key="k", base_url="http://h/v1"))


def test_a_missing_key_of_another_provider_names_a_setting_that_is_read() -> None:
    with pytest.raises(WrongUse) as caught:
        open_model("deepseek:deepseek-chat", ModelSettings())
    assert "MERGEWRIGHT_MODEL_API_KEY" in caught.value.hint
