import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from mergewright.domain.agent import Message, Reply, Role, ToolCall, ToolSpec
from mergewright.domain.errors import ModelRefused, WrongUse
from mergewright.models.chat import OPENAI, ChatModel, completions_url
from mergewright.models.cost import Price, pricing
from tests.support.model_stub import Fault, ModelStub, call, calls, say

TOOLS = [ToolSpec("read", "Read a file", {"type": "object", "properties": {"path": {"type": "string"}}})]
ASK = [Message(Role.SYSTEM, "You write code."), Message(Role.USER, "Fix it.")]


@asynccontextmanager
async def chat(stub: ModelStub, **options: object) -> AsyncIterator[ChatModel]:
    model = ChatModel("local:m", "m", base_url=stub.base_url, silence=2.0, **options)  # type: ignore[arg-type]
    try:
        yield model
    finally:
        await model.close()


async def ask(stub: ModelStub, messages: Sequence[Message] = ASK, **options: object) -> Reply:
    async with chat(stub, **options) as model:
        return await model.reply("implement:1", messages, TOOLS)


async def test_text_and_usage_come_back() -> None:
    usage = {"prompt_tokens": 50, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 40}}
    with ModelStub([say("Hello, world", usage=usage)]) as stub:
        reply = await ask(stub)
    assert reply.message == Message(Role.ASSISTANT, "Hello, world")
    assert (reply.usage.requests, reply.usage.input_tokens, reply.usage.output_tokens) == (1, 50, 7)
    assert reply.usage.cached_tokens == 40
    assert reply.usage.cost is None
    assert not reply.cut


async def test_tool_calls_are_put_together_from_their_pieces() -> None:
    wanted = calls(("read", {"path": "a.py"}, "c1"), ("read", {"path": "bé.py"}, "c2"))
    with ModelStub([wanted]) as stub:
        reply = await ask(stub)
    assert [(c.id, c.name, json.loads(c.arguments)["path"]) for c in reply.message.tool_calls] == [
        ("c1", "read", "a.py"),
        ("c2", "read", "bé.py"),
    ]


async def test_missing_and_repeated_ids_are_made_up_the_same_way_every_time() -> None:
    earlier = [*ASK, Message(Role.ASSISTANT, "", (ToolCall("call_1", "read", "{}"),)), Message(Role.TOOL, "x")]
    script = [calls(("read", {}, ""), ("read", {}, "")), calls(("read", {}, "same"), ("read", {}, "same"))]
    with ModelStub(script) as stub:
        made_up, repeated = await ask(stub, earlier), await ask(stub, earlier)
    assert [c.id for c in made_up.message.tool_calls] == ["call_2", "call_3"]
    assert [c.id for c in repeated.message.tool_calls] == ["same", "call_3"]


async def test_a_server_that_does_not_stream_is_understood() -> None:
    with ModelStub([call("read", {"path": "a"}, id="c1")], stream=False) as stub:
        reply = await ask(stub)
    assert reply.message.tool_calls == (ToolCall("c1", "read", '{"path": "a"}'),)
    assert reply.usage.input_tokens == 100


async def test_thoughts_stay_out_of_the_text() -> None:
    with ModelStub([say("Done", reasoning_content="hm, hm"), say("<think>hm\nhm</think>\n\nDone")]) as stub:
        assert (await ask(stub)).message.text == "Done"
        assert (await ask(stub)).message.text == "Done"


async def test_a_stream_is_split_at_line_feeds_only() -> None:
    text = "a\u2028b\x85c\u2029d é"
    chunk = {"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}
    body = f"data: {json.dumps(chunk, ensure_ascii=False)}\r\n\r\ndata: [DONE]\r\n\r\n"
    for kind in ("text/event-stream", "text/plain"):
        with ModelStub([Fault(200, body=body, headers={"Content-Type": f"{kind}; charset=utf-8"})]) as stub:
            assert (await ask(stub)).message.text == text


async def test_an_answer_at_the_length_limit_is_marked_as_cut() -> None:
    with ModelStub([call("read", '{"path": "a', id="c1", finish_reason="length")]) as stub:
        reply = await ask(stub)
    assert reply.cut
    assert reply.message.tool_calls[0].arguments == '{"path": "a'


async def test_the_content_filter_is_a_refusal() -> None:
    stub = ModelStub([say("half", finish_reason="content_filter")])
    with stub, pytest.raises(ModelRefused, match="content filter"):
        await ask(stub)


async def test_tokens_are_estimated_where_the_server_counts_none() -> None:
    with ModelStub([say("x" * 400, usage=None)]) as stub:
        usage = (await ask(stub)).usage
    assert usage.output_tokens == 100
    assert usage.input_tokens > 50


async def test_the_conversation_goes_over_the_wire_as_openai_defines_it() -> None:
    messages = [
        *ASK,
        Message(Role.ASSISTANT, "", (ToolCall("c1", "read", '{"path":"a"}'),)),
        Message(Role.TOOL, "text of a", call_id="c1"),
        Message(Role.ASSISTANT, "Done"),
    ]
    with ModelStub([say("ok")]) as stub:
        await ask(stub, messages, max_output_tokens=77, api_key="k-1")
        request, headers = stub.requests[0], stub.headers[0]
    function = {"name": "read", "arguments": '{"path":"a"}'}
    assert request["messages"] == [
        {"role": "system", "content": "You write code."},
        {"role": "user", "content": "Fix it."},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]},
        {"role": "tool", "content": "text of a", "tool_call_id": "c1"},
        {"role": "assistant", "content": "Done"},
    ]
    assert request["tools"][0]["function"]["name"] == "read"
    assert request["stream_options"] == {"include_usage": True}
    assert request["max_tokens"] == 77
    assert "temperature" not in request
    assert "prompt_cache_key" not in request
    assert headers["authorization"] == "Bearer k-1"
    assert headers["x-conversation"] == "implement:1"


async def test_each_request_begins_with_the_bytes_of_the_one_before() -> None:
    messages = list(ASK)
    with ModelStub(lambda _: call("read", {"path": "a"})) as stub:
        async with chat(stub) as model:
            for _ in range(5):
                reply = await model.reply("implement:1", messages, TOOLS)
                result = Message(Role.TOOL, "é ☃", call_id=reply.message.tool_calls[0].id)
                messages += [reply.message, result]
    for before, after in zip(stub.raw, stub.raw[1:], strict=False):
        assert after.startswith(before.removesuffix(b"]}"))


async def test_a_lone_surrogate_in_a_tools_output_can_be_sent() -> None:
    with ModelStub([say("ok")]) as stub:
        await ask(stub, [*ASK, Message(Role.USER, "bad \udc80 byte")])
        assert stub.requests[0]["messages"][-1]["content"] == "bad ? byte"


async def test_a_field_that_the_server_does_not_know_is_left_out_from_then_on() -> None:
    unknown = json.dumps({"error": {"message": "Unrecognized request argument supplied: stream_options"}})
    with ModelStub([Fault(400, body=unknown), say("one"), say("two")]) as stub:
        async with chat(stub) as model:
            assert (await model.reply("a:1", ASK, TOOLS)).message.text == "one"
            assert (await model.reply("a:1", ASK, TOOLS)).message.text == "two"
    assert ["stream_options" in request for request in stub.requests] == [True, False, False]


async def test_a_server_that_refuses_to_stream_is_asked_for_the_whole() -> None:
    unverified = json.dumps({"error": {"message": "Your organization must be verified", "param": "stream"}})
    with ModelStub([Fault(400, body=unverified), say("whole")]) as stub:
        assert (await ask(stub)).message.text == "whole"
        assert stub.requests[1]["stream"] is False
        assert "stream_options" not in stub.requests[1]


async def test_a_given_price_becomes_the_cost() -> None:
    usage = {
        "prompt_tokens": 1_000_000,
        "completion_tokens": 100_000,
        "prompt_tokens_details": {"cached_tokens": 500_000},
    }
    with ModelStub([say("ok", usage=usage)]) as stub:
        reply = await ask(stub, priced=pricing(Price(input=2.0, output=10.0, cached=0.2)))
    assert reply.usage.cost == pytest.approx(1.0 + 0.1 + 1.0)


def test_only_openai_gets_a_cache_key_and_its_own_name_for_the_limit() -> None:
    model = ChatModel("openai:m", "m", base_url=OPENAI, max_output_tokens=9)
    body = model._body("implement:1", ASK, [])
    assert body["prompt_cache_key"] == "implement:1"
    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body


async def test_a_connection_is_used_again() -> None:
    with ModelStub(lambda _: say("ok")) as stub:
        async with chat(stub) as model:
            for _ in range(4):
                await model.reply("a:1", ASK, TOOLS)
        assert stub.connections == 1


async def test_a_stream_that_is_not_closed_after_its_end_is_taken_as_it_is() -> None:
    with ModelStub([Fault(cut=say("all of it"), pieces=99, silence=30.0)]) as stub:
        assert (await ask(stub)).message.text == "all of it"


async def test_one_model_serves_two_event_loops() -> None:
    import asyncio

    with ModelStub(lambda _: say("ok")) as stub:
        async with chat(stub) as model:
            await model.reply("a:1", ASK, TOOLS)

            def elsewhere() -> str:
                async def once() -> str:
                    try:
                        return (await model.reply("a:1", ASK, TOOLS)).message.text
                    finally:
                        await model.close()

                return asyncio.run(once())

            assert await asyncio.to_thread(elsewhere) == "ok"
            assert (await model.reply("a:1", ASK, TOOLS)).message.text == "ok"


@pytest.mark.parametrize("given", ["http://h/v1", "http://h/v1/", "http://h/v1/chat/completions"])
def test_a_base_url_is_understood_with_and_without_its_tail(given: str) -> None:
    assert completions_url(given) == "http://h/v1/chat/completions"


@pytest.mark.parametrize("given", ["h/v1", "ftp://h/v1", "http:///v1"])
def test_what_is_no_base_url_is_wrong_use(given: str) -> None:
    with pytest.raises(WrongUse):
        completions_url(given)
