"""The forges that the contract of a forge is held against, and a way to them that fails when told to."""

import json
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx2
import pytest

from mergewright.gitlab.forge import GitLabForge
from mergewright.gitlab.reviewing import GitLabReviewForge
from tests.contract.place import REAL, Change, Place
from tests.support.databases import KINDS, new_database, postgresql

if TYPE_CHECKING:
    from mergewright.localforge.server import LocalForge
    from mergewright.localforge.settings import Tier

REPORTER = 20


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind that a store runs on."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/home/mergewright.db"
    return new_database(request.getfixturevalue("postgresql_server"))


@dataclass
class Site:
    """A forge with a group in which we may do everything."""

    url: str
    token: str
    group: str
    local: "LocalForge | None" = None
    tier: str = "ultimate"
    """What a GitLab is licensed for: `free`, `premium` or `ultimate`."""
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        # The local forge has no certificate, and reading the machine's takes long.
        self.client = httpx2.Client(timeout=30, trust_env=False, verify=self.local is None)

    def api(self, verb: str, path: str, token: str = "", **body: Any) -> Any:
        """Arrange something on the forge without the adapter under test."""
        headers = {"PRIVATE-TOKEN": token or self.token}
        answer = self.client.request(verb, f"{self.url}/api/v4{path}", headers=headers, json=body or None)
        assert answer.is_success, f"{verb} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def new_project(self) -> str:
        """An empty private project."""
        name = f"contract-{uuid.uuid4().hex[:10]}"
        path = f"{self.group}/{name}"
        if self.local:
            self.local.seed_project(path)
            self.local.seed_member(path, "wright", 50)
        else:
            group = self.api("GET", f"/groups/{quote(self.group, safe='')}")["id"]
            self.api("POST", "/projects", name=name, namespace_id=group, visibility="private")
        self.made.append(path)
        return path

    def commit(self, project: str, branch: str, files: dict[str, str], *, start: str = "") -> str:
        """Create files on a branch, which may be new; the commit's id."""
        actions = [{"action": "create", "file_path": path, "content": text} for path, text in files.items()]
        body: dict[str, Any] = {"branch": branch, "commit_message": "Change", "actions": actions}
        if start:
            body["start_branch"] = start
        path = f"/projects/{quote(project, safe='')}/repository/commits"
        return str(self.api("POST", path, **body)["id"])

    def member(self, project: str, level: int) -> tuple[int, str]:
        """Somebody else with a level in the project, and a token of theirs."""
        if self.local:
            name = f"member-{uuid.uuid4().hex[:10]}"
            number = self.local.seed_user(name)
            self.local.seed_member(project, name, level)
            return number, self.local.seed_token(name)
        path = f"/projects/{quote(project, safe='')}/access_tokens"
        token = self.api("POST", path, name="contract", scopes=["api"], access_level=level, expires_at="2030-01-01")
        return token["user_id"], token["token"]

    def stranger(self) -> tuple[int, str]:
        """Somebody who sees none of our projects, and a token of theirs."""
        if self.local:
            name = f"stranger-{uuid.uuid4().hex[:10]}"
            return self.local.seed_user(name), self.local.seed_token(name)
        return self.member(self.new_project(), REPORTER)

    def close(self) -> None:
        if self.local is None:
            for path in self.made:
                self.api("DELETE", f"/projects/{quote(path, safe='')}")
        self.client.close()


@contextmanager
def _open(kind: str, home: Path, tier: "Tier") -> Iterator[Site]:
    if kind == "gitlab":
        settings = [os.environ[f"GITLAB_CONTRACT_{name}"] for name in ("URL", "TOKEN", "GROUP")]
        licensed = os.environ.get("GITLAB_CONTRACT_TIER", "free")
        with closing(Site(settings[0].rstrip("/"), settings[1], settings[2], tier=licensed)) as site:
            yield site
        return
    from mergewright.localforge.server import LocalForge
    from mergewright.localforge.settings import ForgeSettings

    local = LocalForge(ForgeSettings(home=home, tier=tier))
    local.start()
    local.seed_user("wright", bot=True)
    with closing(Site(local.url, local.seed_token("wright"), "contract", local, tier)) as site:
        yield site
    local.stop()


@pytest.fixture(scope="session", params=["local", *REAL])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with _open(request.param, tmp_path_factory.mktemp("forge"), "ultimate") as site:
        yield site


@pytest.fixture(scope="session", params=["free", "premium", "ultimate", *REAL])
def tiered(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A forge of each tier; a real GitLab counts as GITLAB_CONTRACT_TIER says."""
    kind = "gitlab" if request.param == "gitlab" else "local"
    with _open(kind, tmp_path_factory.mktemp("forge"), request.param) as site:
        yield site


@pytest.fixture(scope="session")
def place(tiered: Site) -> Place:
    """A project with code, an author and a reviewer; the tests share it."""
    return Place.made_in(tiered)


@pytest.fixture
def change(place: Place) -> Change:
    """A merge request of its own for each test."""
    return place.propose()


@pytest.fixture
async def open_forge(waits: list[float]) -> AsyncIterator[Callable[..., GitLabReviewForge]]:
    """Open the forge as somebody, each time as a new process would."""
    made: list[GitLabReviewForge] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def opened(url: str, token: str, **settings: Any) -> GitLabReviewForge:
        made.append(GitLabReviewForge(url, token, sleep=sleep, **{"brief": True, **settings}))
        return made[-1]

    yield opened
    for forge in made:
        forge.close()


@pytest.fixture
def reviewer(place: Place, open_forge: Callable[..., GitLabReviewForge]) -> GitLabReviewForge:
    return open_forge(place.site.url, place.reviewer_token)


@pytest.fixture
def review_way(tiered: Site) -> Iterator["Way"]:
    way = Way(tiered.url)
    yield way
    way.close()


@pytest.fixture(scope="session")
def project(site: Site) -> str:
    """A project with one file on its default branch, which the tests share."""
    path = site.new_project()
    site.commit(path, "main", {"README.md": "# Hello\n"})
    return path


@pytest.fixture
def waits() -> list[float]:
    """The waits that a forge was asked to make, none of which was made."""
    return []


@pytest.fixture
async def connect(site: Site, waits: list[float]) -> AsyncIterator[Callable[..., GitLabForge]]:
    made: list[GitLabForge] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    def connect(url: str = "", token: str = "", **settings: Any) -> GitLabForge:
        made.append(GitLabForge(url or site.url, token or site.token, sleep=sleep, **settings))
        return made[-1]

    yield connect
    for forge in made:
        forge.close()


@pytest.fixture
def forge(connect: Callable[..., GitLabForge]) -> GitLabForge:
    return connect()


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request on its way."""

    status: int = 0
    """0 closes the connection without an answer."""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b"<html>Bad gateway</html>"
    kind: str = "text/html"
    passed_on: bool = False
    """Whether the forge gets the request all the same, so that only its answer is lost."""


HARMLESS = Fault(status=200)


class Way:
    """A proxy before a forge: the faults of a verb meet its next requests, one each."""

    def __init__(self, upstream: str) -> None:
        self.faults: dict[str, list[Fault]] = {}
        self.heard: list[str] = []
        self.sent: list[dict[str, Any]] = []
        """The bodies of what was heard, as far as they are JSON."""
        self.said: dict[str, Any] = {}
        """Answers that the way gives itself, by the end of the path."""
        parts, outer = urlsplit(upstream), self

        class Pass(BaseHTTPRequestHandler):
            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                outer.heard.append(f"{self.command} {self.path}")
                outer.sent.append(json.loads(body) if body.startswith(b"{") else {})
                for path, said in outer.said.items():
                    if self.path.partition("?")[0].endswith(path):
                        kind = [("Content-Type", "application/json")]
                        return self.reply(200, kind, json.dumps(said).encode())
                planned = outer.faults.get(self.command)
                fault = planned.pop(0) if planned else None
                fault = None if fault is HARMLESS else fault
                if fault is None or fault.passed_on:
                    answer = self.upstream(body)
                if fault is None:
                    self.reply(*answer)
                elif fault.status:
                    self.reply(fault.status, [("Content-Type", fault.kind), *fault.headers], fault.body)

            def upstream(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
                kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
                with closing(kind(parts.netloc, timeout=30)) as line:
                    headers = {**dict(self.headers), "Host": parts.netloc, "Accept-Encoding": "identity"}
                    line.request(self.command, parts.path + self.path, body, headers)
                    answer = line.getresponse()
                    kept = [item for item in answer.getheaders() if item[0].lower() not in HOP_BY_HOP]
                    return answer.status, kept, answer.read()

            def reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in (*headers, ("Content-Length", str(len(body)))):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = serve

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Pass)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def fails(self, verb: str, *faults: Fault) -> None:
        self.faults[verb] = list(faults)

    def refuses(self, verb: str, body: bytes, *, status: int = 400, times: int = 1) -> None:
        """The next requests of this verb are refused with this JSON."""
        self.fails(verb, *[Fault(status, body=body, kind="application/json")] * times)

    def dies(self, verb: str, *, after: int, passed_on: bool) -> None:
        """The forge takes some requests of this verb; of all that follow, only the first may still reach it."""
        self.fails(verb, *[HARMLESS] * after, Fault(passed_on=passed_on), *[Fault()] * 100)

    def loses_answer(self, verb: str) -> None:
        """The next request of this verb gets through, but its answer does not."""
        self.fails(verb, Fault(passed_on=True))

    def status(self, verb: str, status: int, *, times: int = 1, headers: dict[str, str] | None = None) -> None:
        self.fails(verb, *[Fault(status, tuple((headers or {}).items()))] * times)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


HOP_BY_HOP = {"content-length", "transfer-encoding", "connection"}


@pytest.fixture
def way(site: Site) -> Iterator[Way]:
    way = Way(site.url)
    yield way
    way.close()
