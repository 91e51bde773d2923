"""Any server that speaks OpenAI's chat completions, over our own wire.

The provider's SDK would cost two seconds and 54 MB before the first request; this costs neither.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mergewright.domain.agent import Message, Reply, ToolSpec
from mergewright.domain.errors import ModelRefused, WrongUse
from mergewright.domain.session import JSON
from mergewright.models.cost import Pricing
from mergewright.models.faults import PassingFault, answer_fault, stream_fault
from mergewright.models.loops import PerLoop
from mergewright.models.wire import Answer, count_calls, encode_message, encode_tool

if TYPE_CHECKING:
    import httpx2

OPENAI = "https://api.openai.com/v1"
CONVERSATION = "X-Conversation"
"""The header that names the conversation to any server but OpenAI's own."""
LINGER = 0.5
"""Seconds that a server has to end a stream after saying that it is done."""
COMMENTS_ONLY = 5
"""A stream may live on keep-alive comments this many times as long as on nothing."""

LARGEST = 64 * 1024**2
"""Bytes of the largest answer that is read."""

# Fields that some servers do not know: left out from then on once a server has complained of one.
_OPTIONAL = ("stream_options", "prompt_cache_key")


class ChatModel:
    """A model behind OpenAI's chat completions, streamed."""

    def __init__(
        self,
        name: str,
        model: str,
        *,
        base_url: str,
        api_key: str = "",
        silence: float = 120.0,
        extra_headers: Mapping[str, str] | None = None,
        max_output_tokens: int | None = None,
        priced: Pricing = lambda usage: usage,
    ) -> None:
        self.name = name
        self._model = model
        self._url = completions_url(base_url)
        self._server = urlsplit(self._url).netloc.rpartition("@")[2]
        self._openai = urlsplit(self._url).hostname == urlsplit(OPENAI).hostname
        self._key = api_key
        self._silence = silence
        self._headers = {"Content-Type": "application/json", **(extra_headers or {})}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._max_output_tokens = max_output_tokens
        self._priced = priced
        self._left_out: set[str] = set()
        self._clients = PerLoop(self._client)

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        import httpx2

        while True:
            body = self._body(conversation, messages, tools)
            # A lone surrogate, which a tool's output may hold, cannot be sent.
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
            headers = self._headers if self._openai else {**self._headers, CONVERSATION: header_value(conversation)}
            try:
                answer = await self._ask(data, headers, body)
            except httpx2.ReadTimeout as error:
                raise self._silent() from error
            except httpx2.TransportError as error:
                what = str(error) or type(error).__name__
                raise PassingFault(
                    f"The connection to {self._server} failed: {what}", hint="check that the model's server is running"
                ) from error
            except httpx2.DecodingError as error:
                raise PassingFault(f"{self._server} sent bytes that cannot be decoded: {error}") from error
            if answer is not None:
                reply = answer.reply(count_calls(messages), len(data))
                return Reply(reply.message, self._priced(reply.usage), reply.cut)

    async def close(self) -> None:
        client = self._clients.take()
        if client is not None:
            await client.aclose()

    def _body(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> dict[str, JSON]:
        """Build the request; whatever stays the same comes first, so that each request begins with the one before."""
        body: dict[str, JSON] = {"model": self._model, "stream": True, "stream_options": {"include_usage": True}}
        if self._openai:
            body["prompt_cache_key"] = conversation
        if self._max_output_tokens:
            body["max_completion_tokens" if self._openai else "max_tokens"] = self._max_output_tokens
        if tools:
            body["tools"] = [encode_tool(tool) for tool in tools]
        body["messages"] = [encode_message(message) for message in messages]
        if "stream" in self._left_out:
            body["stream"] = False
            del body["stream_options"]
        return {name: value for name, value in body.items() if name == "stream" or name not in self._left_out}

    async def _ask(self, data: bytes, headers: Mapping[str, str], body: Mapping[str, JSON]) -> Answer | None:
        """Ask once; None says that a field has to be left out and the question put again."""
        async with self._clients.get().stream("POST", self._url, content=data, headers=headers) as response:
            if not response.is_success:
                text = await _text(self._bounded(response))
                refused = _refused_field(response.status_code, text)
                if refused in body and refused not in self._left_out:
                    self._left_out.add(refused)
                    return None
                raise answer_fault(
                    response.status_code, text, response.headers, server=self._server, now=time.time(), key=self._key
                )
            if "text/event-stream" in response.headers.get("content-type", ""):
                return await self._read_stream(self._patient(_lines(self._bounded(response))))
            text = await _text(self._bounded(response))
        if text.lstrip().startswith("data:"):
            return await self._read_stream(_lines(_whole(text)))
        return self._read_body(text)

    async def _read_stream(self, lines: AsyncIterator[str]) -> Answer:
        answer, done = Answer(), False
        async for line in lines:
            if not line.startswith("data:"):
                continue
            data = line[5:].strip()
            if data == "[DONE]":
                done = True
                await _drain(lines)
                break
            self._add(answer, data)
        if not answer.finish_reason and not (done and answer.heard):
            raise PassingFault(f"{self._server} cut its answer off in the middle")
        return self._allowed(answer)

    def _read_body(self, text: str) -> Answer:
        answer = Answer()
        self._add(answer, text)
        if not answer.heard:
            raise PassingFault(f"{self._server} answered without a message")
        return self._allowed(answer)

    def _add(self, answer: Answer, text: str) -> None:
        value = self._decode(text)
        try:
            answer.add(value)
        except (AttributeError, TypeError, ValueError) as error:
            raise PassingFault(f"{self._server} answered in a shape that is not a chat completion's") from error

    def _decode(self, text: str) -> Mapping[str, JSON]:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            what = "a web page" if text.lstrip().startswith("<") else "something that is not JSON"
            raise PassingFault(
                f"{self._server} answered with {what}",
                hint="check that the base URL ends where the server's API begins, mostly in `/v1`",
            ) from error
        if not isinstance(value, dict):
            raise PassingFault(f"{self._server} answered with JSON that is not an object")
        if value.get("error"):
            raise stream_fault(value["error"], server=self._server, key=self._key)
        return value

    def _allowed(self, answer: Answer) -> Answer:
        if answer.finish_reason == "content_filter":
            raise ModelRefused(f"{self._server} stopped the answer by its content filter")
        return answer

    async def _bounded(self, response: "httpx2.Response") -> AsyncIterator[bytes]:
        """Pass an answer's bytes on until they are more than any answer has."""
        room = LARGEST
        async for part in response.aiter_bytes():
            room -= len(part)
            if room < 0:
                raise ModelRefused(f"{self._server} sent more than {LARGEST:,} bytes in one answer")
            yield part

    async def _patient(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        """Pass lines on until only keep-alive comments have come for too long."""
        heard = time.monotonic()
        async for line in lines:
            if line.startswith("data:"):
                heard = time.monotonic()
            elif time.monotonic() - heard > COMMENTS_ONLY * self._silence:
                raise self._silent()
            yield line

    def _silent(self) -> PassingFault:
        return PassingFault(f"{self._server} was silent for {self._silence:g} s", silent=True)

    def _client(self) -> "httpx2.AsyncClient":
        import ssl

        import httpx2

        url = urlsplit(self._url)
        loopback = url.hostname in {"127.0.0.1", "localhost", "::1"}
        return httpx2.AsyncClient(
            timeout=httpx2.Timeout(self._silence, connect=min(30.0, self._silence)),
            # Loading the certificates takes 0.2 s; a context without any trusts nobody, should one be needed.
            verify=True if url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            # A proxy of the environment serves what is far away.
            trust_env=not loopback,
        )


def completions_url(base_url: str) -> str:
    """Give the address of the chat completions below a base URL."""
    url = urlsplit(base_url)
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise WrongUse(f"`{base_url}` is no base URL of a model", hint="it looks like `http://127.0.0.1:8080/v1`")
    return base_url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"


def _refused_field(status: int, text: str) -> str:
    """Name the optional field that a refusal complains of; empty when it is of something else."""
    if status not in {400, 422}:
        return ""
    if re.search(r'"param"\s*:\s*"stream"', text):
        return "stream"
    return next((name for name in _OPTIONAL if re.search(rf"\b{name}\b", text)), "")


def header_value(conversation: str) -> str:
    """Give a conversation's name as a header can carry it."""
    return re.sub(r"[^\x21-\x7e]", "_", conversation)


async def _drain(lines: AsyncIterator[str]) -> None:
    """Read what little follows the end of a stream: only then can its connection serve the next request."""
    import httpx2

    with suppress(TimeoutError, httpx2.TransportError):
        async with asyncio.timeout(LINGER):
            async for _ in lines:
                pass


async def _text(parts: AsyncIterator[bytes]) -> str:
    return b"".join([part async for part in parts]).decode(errors="replace")


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Split at line feeds only: the separators of Unicode may stand inside an event's JSON."""
    rest = b""
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line.rstrip(b"\r").decode(errors="replace")
    if rest:
        yield rest.decode(errors="replace")


async def _whole(text: str) -> AsyncIterator[bytes]:
    yield text.encode()
