"""An instant model server on loopback whose answers and faults a test writes down beforehand.

It speaks OpenAI's chat completions and Anthropic's messages.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, ClassVar, Self

from tests.support.anthropic_events import anthropic_events

JSON = Any

Answer = Mapping[str, JSON]
"""An assistant's message on the wire; `usage` and `finish_reason` may be put beside `content` and `tool_calls`."""


@dataclass(frozen=True)
class Fault:
    """An answer that is none."""

    status: int = 0
    """An HTTP status to answer with; 0 for what follows."""
    body: str | None = None
    """The body to send; an OpenAI error by default."""
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False
    """Break the connection: before the first byte, or in the middle of `cut`."""
    cut: Answer | None = None
    """End the stream in the middle of this answer."""
    pieces: int = 2
    """How many of its events are sent."""
    silence: float = 0.0
    """Say nothing for so many seconds (after the beginning of `cut`), then break the connection."""
    comments: float = 0.0
    """Stream nothing but keep-alive comments for so many seconds."""


def say(text: str, **extra: JSON) -> Answer:
    return {"content": text, **extra}


def call(name: str, arguments: Mapping[str, JSON] | str, *, id: str = "", **extra: JSON) -> Answer:
    """One tool call; arguments given as a string are sent as they are."""
    return calls((name, arguments, id), **extra)


def calls(*wanted: tuple[str, Mapping[str, JSON] | str, str], **extra: JSON) -> Answer:
    """Several tool calls, each a name, arguments and an id."""
    listed = [
        {
            "id": call_id,
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for name, given, call_id in wanted
    ]
    return {"content": None, "tool_calls": listed, **extra}


def overflow() -> Fault:
    error = {"message": "This model's maximum context length is 8192 tokens", "code": "context_length_exceeded"}
    return Fault(400, body=json.dumps({"error": error}))


Step = Answer | Fault
Script = Iterable[Step] | Callable[[dict[str, JSON]], Step]


class ModelStub:
    """Serves a script: its answers in order, or what a function makes of each request."""

    def __init__(self, script: Script = (), *, stream: bool = True) -> None:
        self.requests: list[dict[str, JSON]] = []
        self.headers: list[dict[str, str]] = []
        self.raw: list[bytes] = []
        """The bodies as they came."""
        self.times: list[float] = []
        self.connections = 0
        self.stream = stream
        """False for a server that answers in one piece although it was asked to stream."""
        self._script = script if callable(script) else iter(script)
        self._lock = threading.Lock()
        self._leaving = threading.Event()

    def __enter__(self) -> Self:
        stub = self

        class Handler(_Handler):
            owner: ClassVar[ModelStub] = stub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, request: dict[str, JSON], raw: bytes, headers: dict[str, str]) -> Step:
        """Note a request and choose its answer."""
        with self._lock:
            self.requests.append(request)
            self.raw.append(raw)
            self.headers.append(headers)
            self.times.append(time.monotonic())
            if callable(self._script):
                return self._script(request)
            ended = Fault(500, body=json.dumps({"error": {"message": "the stub's script has ended"}}))
            return next(self._script, ended)

    @property
    def left(self) -> bool:
        return self._leaving.is_set()

    def pause(self, seconds: float) -> None:
        self._leaving.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    owner: ClassVar[ModelStub]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.owner.connections += 1

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        if not path.endswith(("/chat/completions", "/messages")):
            self._send(404, json.dumps({"error": {"message": f"no such path: {self.path}"}}), {})
            return
        request = json.loads(raw)
        headers = {name.lower(): value for name, value in self.headers.items()}
        step = self.owner.take(request, raw, headers)
        if isinstance(step, Fault):
            self._fail(step)
        elif request.get("stream") and self.owner.stream:
            self._stream(step)
        else:
            self._whole(step)

    def _fail(self, fault: Fault) -> None:
        if fault.comments:
            self._keep_alive(fault.comments)
        elif fault.status:
            body = fault.body
            if body is None:
                body = json.dumps({"error": {"message": f"stub says {fault.status}", "type": "stub"}})
            self._send(fault.status, body, fault.headers)
        elif fault.cut is not None:
            self._stream(fault.cut, pieces=fault.pieces, ends=not (fault.reset or fault.silence))
            self.owner.pause(fault.silence)
            if fault.reset or fault.silence:
                self._break()
        elif fault.silence:
            self.owner.pause(fault.silence)
            self._break()
        elif fault.reset:
            self._break()

    def _keep_alive(self, seconds: float) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end and not self.owner.left:
                self.wfile.write(b": still here\n\n")
                self.owner.pause(0.02)
        except ConnectionError:
            pass  # the client has had enough, which is what such a test waits for

    def _break(self) -> None:
        # A zero linger makes the kernel send RST instead of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _send(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        data = body.encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _whole(self, answer: Answer) -> None:
        message, finish, usage = _parts(answer)
        choice = {"index": 0, "message": message, "finish_reason": finish}
        self._send(200, json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}), {})

    def _stream(self, answer: Answer, *, pieces: int | None = None, ends: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.path.partition("?")[0].endswith("/messages"):
            events = anthropic_events(answer)
        else:
            events = [f"data: {json.dumps(chunk)}\n\n" for chunk in _chunks(answer)] + ["data: [DONE]\n\n"]
        data = b"".join(f"{len(event.encode()):x}\r\n{event}\r\n".encode() for event in events[:pieces])
        self.wfile.write(data + b"0\r\n\r\n" if ends else data)


def _parts(answer: Answer) -> tuple[dict[str, JSON], str, JSON]:
    message = {"role": "assistant", **answer}
    usage = message.pop("usage", {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110})
    finish = message.pop("finish_reason", "tool_calls" if message.get("tool_calls") else "stop")
    return message, finish, usage


def _chunks(answer: Answer) -> list[dict[str, JSON]]:
    message, finish, usage = _parts(answer)
    deltas: list[dict[str, JSON]] = [{"role": "assistant", "content": ""}]
    text = message.get("content") or ""
    middle = len(text) // 2
    deltas += [{"content": part} for part in (text[:middle], text[middle:]) if part]
    extra = {name: value for name, value in message.items() if name not in {"role", "content", "tool_calls"}}
    deltas += [extra] if extra else []
    for index, tool_call in enumerate(message.get("tool_calls") or ()):
        function = tool_call["function"]
        head = {**tool_call, "index": index, "function": {"name": function["name"], "arguments": ""}}
        half = len(function["arguments"]) // 2
        deltas.append({"tool_calls": [head]})
        for part in (function["arguments"][:half], function["arguments"][half:]):
            deltas.append({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    chunks: list[dict[str, JSON]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage is not None:
        chunks.append({"choices": [], "usage": usage})
    head = {"id": "stub", "object": "chat.completion.chunk", "model": "stub"}
    return [{**head, **chunk} for chunk in chunks]
