"""Every way in which a model's server fails, over a real connection, and what we make of it."""

import json
import time
from collections.abc import Sequence

import pytest

from mergewright.domain.agent import Message, Role
from mergewright.domain.errors import ContextOverflow, ModelError, ModelRefused, ModelUnavailable
from mergewright.models.chat import ChatModel
from mergewright.models.faults import asked_wait
from mergewright.models.retry import Retrying
from tests.support.model_stub import Answer, Fault, ModelStub, Script, Step, overflow, say

ASK = [Message(Role.USER, "Fix it.")]
OK = say("ok")
HTML = Fault(200, body="<!doctype html><title>Welcome</title>", headers={"Content-Type": "text/html"})
NOT_JSON = Fault(200, body='{"choices": [')


class Asked:
    """What came of a question, how long was waited, and how many requests it took."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.said: list[str] = []
        self.requests = 0
        self.text = ""
        self.error: ModelError | None = None


async def ask(script: Script, *, silence: float = 5.0, retries: int = 6) -> Asked:
    asked = Asked()

    async def sleep(seconds: float) -> None:
        asked.waits.append(seconds)

    with ModelStub(script) as stub:
        wire = ChatModel("local:m", "m", base_url=stub.base_url, api_key="secret-key-1", silence=silence)
        model = Retrying(wire, retries=retries, on_wait=asked.said.append, sleep=sleep, spread=lambda: 1.0)
        try:
            asked.text = (await model.reply("a:1", ASK, [])).message.text
        except ModelError as error:
            asked.error = error
        finally:
            await model.close()
        asked.requests = len(stub.requests)
    return asked


CURABLE: dict[str, Step] = {
    "429": Fault(429),
    "408": Fault(408),
    "409": Fault(409),
    "500": Fault(500),
    "502 with a web page": Fault(502, body="<html><title>Bad Gateway</title></html>"),
    "503": Fault(503),
    "529": Fault(529),
    "a reset connection": Fault(reset=True),
    "a stream that ends early": Fault(cut=OK),
    "a stream that is broken off": Fault(cut=OK, reset=True),
    "a body that is not JSON": NOT_JSON,
    "JSON that is no object": Fault(200, body="[1]"),
    "JSON without a message": Fault(200, body='{"status": "ok"}'),
    "JSON of another shape": Fault(200, body='{"choices": ["text"]}'),
    "an empty body": Fault(200, body=""),
    "a web page with status 200": HTML,
    "an error with status 200": Fault(200, body='{"error": {"message": "upstream failed", "code": 502}}'),
    "an error inside a stream": Fault(
        200, body='data: {"error": {"message": "overloaded"}}\n\n', headers={"Content-Type": "text/event-stream"}
    ),
    "a stream that says only that it is done": Fault(
        200, body="data: [DONE]\n\n", headers={"Content-Type": "text/event-stream"}
    ),
}


@pytest.mark.parametrize("name", CURABLE)
async def test_a_passing_fault_is_tried_again(name: str) -> None:
    asked = await ask([CURABLE[name], CURABLE[name], OK])
    assert asked.text == "ok"
    assert asked.requests == 3
    assert asked.waits == [0.5, 1.0]


async def test_waits_grow_and_are_bounded_and_the_tries_end() -> None:
    asked = await ask(lambda _: Fault(500), retries=8)
    assert isinstance(asked.error, ModelUnavailable)
    assert "500" in asked.error.message
    assert "after 9 tries" in asked.error.message
    assert asked.waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert asked.requests == 9


async def test_retry_after_is_obeyed_exactly_and_said() -> None:
    asked = await ask([Fault(429, headers={"Retry-After": "7"}), Fault(503, headers={"Retry-After": "2.5"}), OK])
    assert asked.waits == [7.0, 2.5]
    assert "429" in asked.said[0]
    assert "trying again in 7.0 s (1 of 6)" in asked.said[0]


async def test_retry_after_is_capped() -> None:
    assert (await ask([Fault(429, headers={"Retry-After": "86400"}), OK])).waits == [120.0]


def test_retry_after_may_be_a_date_or_milliseconds_or_nonsense() -> None:
    assert asked_wait({"retry-after": "Wed, 21 Oct 2026 07:28:10 GMT"}, now=1792567680.0) == 10.0
    assert asked_wait({"retry-after": "Wed, 21 Oct 2020 07:28:10 GMT"}, now=1792567680.0) == 0.0
    assert asked_wait({"retry-after-ms": "250", "retry-after": "1"}, now=0.0) == 0.25
    assert asked_wait({"retry-after": "soon"}, now=0.0) is None
    assert asked_wait({}, now=0.0) is None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refusal_is_never_tried_again(status: int) -> None:
    asked = await ask([Fault(status), OK])
    assert isinstance(asked.error, ModelRefused)
    assert f"{status}" in asked.error.message
    assert "stub says" in asked.error.message
    assert asked.requests == 1


async def test_a_wrong_key_is_explained_and_not_repeated() -> None:
    said = json.dumps({"error": {"message": "Incorrect API key provided: secret-key-1 or sk-abc***wxyz"}})
    asked = await ask([Fault(401, body=said), OK])
    assert asked.error is not None
    assert "check the API key" in asked.error.hint
    assert "secret-key-1" not in asked.error.message
    assert "wxyz" not in asked.error.message


async def test_used_up_credit_is_not_waited_for() -> None:
    body = json.dumps({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}})
    asked = await ask([Fault(429, body=body), OK])
    assert isinstance(asked.error, ModelRefused)
    assert asked.requests == 1


WORDINGS: Sequence[tuple[int, str]] = [
    (400, '{"error": {"message": "too long", "code": "context_length_exceeded"}}'),
    (400, '{"error": {"message": "This model\'s maximum context length is 4096 tokens. However, you requested 5000"}}'),
    (400, '{"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 3 > 2"}}'),
    (400, '{"error": {"message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}}'),
    (400, '[{"error": {"message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}}]'),
    (400, '{"error": {"code": 400, "message": "the request exceeds the available context size", "type": "x"}}'),
    (400, '{"error": {"message": "Please reduce the length of the messages or completion."}}'),
    (400, '{"message": "Input is too long for requested model."}'),
    (400, '{"error": "This model\'s maximum prompt length is 131072 but the request contains 200000 tokens."}'),
    (422, '{"detail": "`inputs` tokens + `max_new_tokens` must be <= 4096"}'),
    (413, '{"error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}}'),
    (200, '{"error": {"message": "context window of 8192 tokens exceeded", "code": 400}}'),
]


@pytest.mark.parametrize(("status", "body"), WORDINGS)
async def test_a_conversation_that_is_too_long_is_recognised(status: int, body: str) -> None:
    asked = await ask([Fault(status, body=body), OK])
    assert isinstance(asked.error, ContextOverflow)
    assert asked.requests == 1


async def test_the_stubs_own_overflow_is_one() -> None:
    assert isinstance((await ask([overflow()])).error, ContextOverflow)


async def test_an_ordinary_bad_request_is_no_overflow() -> None:
    body = '{"error": {"message": "max_tokens must be at least 1, tool context is missing"}}'
    assert type((await ask([Fault(400, body=body)])).error) is ModelRefused


@pytest.mark.parametrize("fault", [Fault(silence=60.0), Fault(cut=OK, silence=60.0)])
async def test_a_silent_model_is_given_up_after_a_second_silence(fault: Fault) -> None:
    started = time.monotonic()
    asked = await ask(lambda _: fault, silence=0.3)
    assert isinstance(asked.error, ModelUnavailable)
    assert "silent for 0.3 s" in asked.error.message
    assert asked.requests == 2
    assert time.monotonic() - started < 30


async def test_one_silence_is_forgiven() -> None:
    asked = await ask([Fault(silence=60.0), OK], silence=0.3)
    assert asked.text == "ok"


async def test_a_stream_of_nothing_but_comments_is_silence() -> None:
    with ModelStub([Fault(200, comments=60.0), Fault(200, comments=60.0)]) as stub:
        wire = ChatModel("local:m", "m", base_url=stub.base_url, silence=0.1)
        with pytest.raises(ModelUnavailable, match="silent"):
            await wire.reply("a:1", ASK, [])
        await wire.close()


async def test_no_server_at_all_is_explained() -> None:
    with ModelStub() as stub:
        gone = stub.base_url
    wire = ChatModel("local:m", "m", base_url=gone)
    with pytest.raises(ModelUnavailable) as caught:
        await Retrying(wire, retries=0).reply("a:1", ASK, [])
    await wire.close()
    assert "check that the model's server is running" in caught.value.hint
    assert gone.split("/")[2] in caught.value.message


async def test_a_redirect_takes_neither_key_nor_conversation_elsewhere() -> None:
    with ModelStub([OK]) as elsewhere:
        asked = await ask([Fault(307, headers={"Location": f"{elsewhere.base_url}/chat/completions"})])
        assert isinstance(asked.error, ModelRefused)
        assert elsewhere.requests == []


async def test_real_waiting_takes_the_time_that_was_asked_for() -> None:
    answers: list[Answer | Fault] = [Fault(429, headers={"Retry-After": "0.4"}), OK]
    with ModelStub(answers) as stub:
        wire = ChatModel("local:m", "m", base_url=stub.base_url)
        await Retrying(wire, retries=1).reply("a:1", ASK, [])
        await wire.close()
        assert 0.4 <= stub.times[1] - stub.times[0] < 0.9
