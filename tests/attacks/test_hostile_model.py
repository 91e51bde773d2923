"""A model, or the server that speaks for it, that means to use up the machine or to stop the process."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mergewright.agent.calls import AT_ONCE, MOST_CALLS
from mergewright.agent.loop import Agent
from mergewright.domain.agent import Access, Limits, Message, Role, ToolCall, ToolResult, ToolSpec
from mergewright.domain.errors import LimitReached, ModelError
from mergewright.domain.session import JSON, EventKind
from mergewright.models.recording import Recording
from mergewright.models.select import ModelSettings, open_model
from tests.support.agents import ASSIGNMENT
from tests.support.memory_store import MemoryStore
from tests.support.scripted_model import ScriptedModel, says

DONE = says(ToolCall("end", "finish", '{"summary": "done"}'))


class Counting:
    """A tool that knows how often, and how often at once, it was called."""

    spec = ToolSpec("look", "Look.", {"type": "object", "properties": {}})

    def __init__(self, access: Access = Access.READ) -> None:
        self.access = access
        self.calls = self.now = self.most = 0

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        return ToolResult("seen")


async def test_a_reply_of_a_thousand_calls_does_not_start_a_thousand_sandboxes() -> None:
    """Every search is a sandbox with two GiB, and all those of one reply began at the same moment."""
    tool, store = Counting(), MemoryStore()
    thousand = says(*(ToolCall(f"c{n}", "look", "{}") for n in range(1_000)))
    outcome = await Agent(ScriptedModel([thousand, DONE]), store, [tool]).run(ASSIGNMENT)
    assert outcome.answer == {"summary": "done"}
    assert tool.most <= AT_ONCE
    assert tool.calls <= MOST_CALLS + AT_ONCE
    assert len(store.log) < 4_000


async def test_one_reply_cannot_outlast_the_seconds_of_its_session() -> None:
    """The limits were looked at between replies alone, and one reply may ask for a day of commands."""
    clock = iter(range(0, 1_000_000, 50))
    tool = Counting(Access.WRITE)
    many = says(*(ToolCall(f"c{n}", "look", "{}") for n in range(50)))
    agent = Agent(ScriptedModel([many, DONE]), MemoryStore(), [tool], clock=lambda: float(next(clock)))
    with pytest.raises(LimitReached, match="600 seconds"):
        await agent.run(replace(ASSIGNMENT, limits=replace(Limits(), seconds=600.0)))
    assert tool.calls < 15


async def test_arguments_nested_without_end_are_a_fault_and_no_crash(tmp_path: Path) -> None:
    deep = says(ToolCall("x", "look", '{"a":' + "[" * 100_000))
    model = Recording(ScriptedModel([deep, DONE]), tmp_path / "session.jsonl")
    store = MemoryStore()
    await Agent(model, store, [Counting()]).run(ASSIGNMENT)
    results = await store.events(ASSIGNMENT.session.id, kinds=(EventKind.TOOL_RESULT,))
    assert results[0].data["fault"] == "bad JSON"


@contextmanager
def speaking(kind: str, start: bytes, again: bytes, status: int = 200) -> Iterator[str]:
    class Endless(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            return

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            try:
                self.wfile.write(start)
                for _ in range(2_000 if again else 0):
                    self.wfile.write(again * (65_536 // len(again)))
            except OSError:
                return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


ENDLESS = {
    "events": ("text/event-stream", b"", b'data: {"choices": [{"delta": {"content": "ha"}}]}\n\n', 200),
    "one line": ("text/event-stream", b"data: ", b"ha", 200),
    "a body": ("application/json", b"", b"ha", 200),
    "a refusal": ("application/json", b"", b"ha", 400),
    "nesting": ("application/json", b'{"choices":' + b"[" * 200_000, b"", 200),
}


@pytest.mark.parametrize(("kind", "start", "again", "status"), ENDLESS.values(), ids=ENDLESS)
async def test_a_server_that_never_ends_does_not_fill_the_memory(
    kind: str, start: bytes, again: bytes, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken server repeated a word until the process was killed for its memory."""
    monkeypatch.setattr("mergewright.models.chat.LARGEST", 2 * 1024**2)
    with speaking(kind, start, again, status) as url:
        model = open_model("local:x", ModelSettings(base_url=url, retries=0, silence=20.0))
        with pytest.raises(ModelError) as caught:
            await model.reply("a:1", [Message(Role.USER, "Hello")], [])
        await model.close()
    assert not again or "more than" in caught.value.message
