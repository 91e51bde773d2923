"""A forge that says what it is told to say, over real HTTP."""

import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from mergewright.gitlab.forge import GitLabForge

TOKEN = "glpat-a-secret-of-the-tests"


@dataclass
class Said:
    """One answer; without a status the connection just closes."""

    body: Any
    status: int | None
    headers: Mapping[str, str]
    content_type: str


@dataclass
class Heard:
    verb: str
    path: str
    headers: dict[str, str]
    body: Any


class ScriptedForge:
    """Answers each address with its script; the last answer of a script is said again and again."""

    def __init__(self) -> None:
        self.script: dict[tuple[str, str], list[Said]] = {}
        self.heard: list[Heard] = []
        outer = self

        class Talk(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                self.connection.settimeout(5)
                super().handle()

            def answer(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.heard.append(Heard(self.command, self.path, dict(self.headers), json.loads(raw) if raw else None))
                said = outer.say(self.command, self.path)
                if said.status is None:
                    self.close_connection = True
                    return
                content = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
                self.send_response_only(said.status)
                for name, value in {"Content-Type": said.content_type, **said.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Talk)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def says(
        self,
        body: Any,
        status: int | None = 200,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Said:
        return Said(body, status, headers or {}, content_type)

    def tell(self, verb: str, path: str, *said: Said) -> None:
        self.script[verb, path] = list(said)

    def say(self, verb: str, path: str) -> Said:
        left = self.script.get((verb, path.partition("?")[0].removeprefix("/api/v4")))
        if not left:
            return self.says({"message": "404 Not Found"}, 404)
        return left.pop(0) if len(left) > 1 else left[0]

    def asked(self, verb: str) -> list[Heard]:
        return [heard for heard in self.heard if heard.verb == verb]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[ScriptedForge]:
    server = ScriptedForge()
    yield server
    server.close()


@pytest.fixture
def other_server() -> Iterator[ScriptedForge]:
    server = ScriptedForge()
    yield server
    server.close()


@pytest.fixture
def waits() -> list[float]:
    """The waits that a forge was asked to make, none of which was made."""
    return []


@pytest.fixture
async def connect(waits: list[float]) -> AsyncIterator[Callable[..., GitLabForge]]:
    made: list[GitLabForge] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def connect(url: str, **settings: Any) -> GitLabForge:
        made.append(GitLabForge(url, TOKEN, sleep=sleep, **settings))
        return made[-1]

    yield connect
    for forge in made:
        forge.close()
