"""Replaying a recording over the real wire: a chat-completions server on loopback, inside this process."""

import asyncio
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mergewright.domain.agent import Message, Reply, ToolSpec
from mergewright.domain.errors import ReplayDiverged
from mergewright.domain.session import JSON
from mergewright.models.chat import CONVERSATION, ChatModel, header_value
from mergewright.models.faults import DIVERGED
from mergewright.models.follow import follow
from mergewright.models.loops import PerLoop
from mergewright.models.recording import Exchange, load
from mergewright.models.wire import decode_message, encode_message


class Recorded:
    """Answers as a recording says, for as long as the conversation goes the recorded way."""

    def __init__(self, path: Path) -> None:
        self.name = f"recorded:{path}"
        conversations = {header_value(label): exchanges for label, exchanges in load(path).items()}
        self._served = PerLoop(lambda: _Served(self.name, conversations))

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        wire = await self._served.get().wire()
        return await wire.reply(conversation, messages, tools)

    async def close(self) -> None:
        served = self._served.take()
        if served is not None:
            await served.close()


class _Served:
    """The server, and the wire that leads to it."""

    def __init__(self, name: str, conversations: Mapping[str, Sequence[Exchange]]) -> None:
        self._name = name
        self._conversations = conversations
        # Other users of this machine can reach a loopback port.
        self._key = secrets.token_urlsafe()
        self._starting = asyncio.Lock()
        self._server: asyncio.Server | None = None
        self._wire: ChatModel | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def wire(self) -> ChatModel:
        async with self._starting:
            if self._wire is None:
                self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
                port = self._server.sockets[0].getsockname()[1]
                self._wire = ChatModel(
                    self._name, "recorded", base_url=f"http://127.0.0.1:{port}/v1", api_key=self._key, silence=30.0
                )
            return self._wire

    async def close(self) -> None:
        if self._wire is not None and self._server is not None:
            self._server.close()
            await self._wire.close()
            if self._connections:
                await asyncio.wait(self._connections)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until its client closes it."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                headers = {name.lower(): value.strip() for name, _, value in _fields(head)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                for part in self._answer(headers, body):
                    writer.write(part)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has closed the connection
        finally:
            writer.close()

    def _answer(self, headers: Mapping[str, str], body: bytes) -> Iterator[bytes]:
        if not hmac.compare_digest(headers.get("authorization", "").encode(), f"Bearer {self._key}".encode()):
            yield from _refusal(401, "invalid_api_key", "this server answers only the program that started it")
            return
        messages = [decode_message(message) for message in json.loads(body)["messages"]]
        try:
            reply = follow(self._conversations, headers.get(CONVERSATION.lower(), ""), messages)
        except ReplayDiverged as diverged:
            yield from _refusal(422, DIVERGED, diverged.message)
            return
        yield b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        for chunk in _chunks(reply):
            yield _sent(f"data: {json.dumps(chunk)}\n\n".encode())
        yield _sent(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def _fields(head: str) -> Iterator[tuple[str, str, str]]:
    return (line.partition(":") for line in head.split("\r\n")[1:] if line)


def _sent(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def _refusal(status: int, code: str, message: str) -> Iterator[bytes]:
    data = json.dumps({"error": {"message": message, "type": code, "code": code}}).encode()
    yield f"HTTP/1.1 {status} Refused\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
    yield data


def _chunks(reply: Reply) -> Iterator[dict[str, JSON]]:
    """A reply in the pieces in which a server would stream it: text, then each call's head and its arguments."""
    message = encode_message(reply.message)

    def chunk(delta: dict[str, JSON], finish_reason: str | None = None) -> dict[str, JSON]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {"object": "chat.completion.chunk", "model": "recorded", "choices": [choice]}

    yield chunk({"role": "assistant", "content": message["content"] or ""})
    for index, call in enumerate(message.get("tool_calls", ())):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield chunk({"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": function}]})
        yield chunk({"tool_calls": [{"index": index, "function": {"arguments": call["function"]["arguments"]}}]})
    yield chunk({}, "length" if reply.cut else "tool_calls" if reply.message.tool_calls else "stop")
    usage = reply.usage
    yield {
        "object": "chat.completion.chunk",
        "choices": [],
        "usage": {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        },
    }
