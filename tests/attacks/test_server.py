"""Attacks on the server over HTTP: narrow tokens, half letters, and texts made to keep it busy."""

import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing, suppress
from urllib.parse import urlsplit

import pytest
from fastapi import Request

from mergewright.app.carry import Hands, begin
from mergewright.app.local import let_sign_in
from mergewright.app.undone import NotAllowed
from mergewright.domain.errors import NoDatabase, TooMany
from mergewright.domain.session import Subject
from mergewright.domain.trigger import Trigger, TriggerKind
from mergewright.server.connections import Connection
from mergewright.server.events import MOST, Feeds
from mergewright.server.hooks import Ours
from mergewright.server.mention import mentioned
from mergewright.server.pages.problems import tell
from tests.review.stage import PROJECT
from tests.server.test_serving import Place, deliver
from tests.server.test_signin import Browser, field

OURS = Ours("reviewer", "developer-bot")
CHANGE = {"scope": PROJECT, "values": {"block_on": "minor"}, "reason": "because I can"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Ann maintains the project; beside her own token she has made narrow ones, which may have got lost."""
    made = Place(tmp_path_factory.mktemp("server"))
    let_sign_in(made.stage.served, made.settings, made.server.url)
    for scope in ("read_api", "ai_workflows"):
        made.stage.tokens[scope] = made.stage.served.seed_token("ann", scopes=[scope])
    yield made
    made.close()


@pytest.fixture
def browser(place: Place) -> Iterator[Browser]:
    made = Browser(place)
    with closing(made.client):
        yield made


# --- tokens that were cut to size ----------------------------------------------------------------


@pytest.mark.parametrize("scope", ["read_api", "ai_workflows"])
def test_a_narrow_token_changes_neither_policy_nor_findings(place: Place, scope: str) -> None:
    """A maintainer's token for reading lies in a pipeline's log; whoever finds it turns the reviewer off."""
    subject = f"{PROJECT}!1"
    tries = {
        ("PATCH", "/api/v1/policy"): CHANGE,
        ("POST", "/api/v1/reviews"): {"subject": subject},
        ("POST", "/api/v1/merge_requests/override"): {"subject": subject, "reason": "go away"},
        ("POST", "/api/v1/findings/x/dismiss"): {"reason": "go away"},
    }
    for (verb, path), body in tries.items():
        answer = place.ask(verb, path, by=scope, json=body)
        assert answer.status_code == 403, (path, answer.text)
        assert "scopes" in answer.json()["title"]
    for path in (f"/settings/{PROJECT}", f"/reviews/{PROJECT}/-/1/override", f"/reviews/{PROJECT}/-/1/again"):
        assert place.ask("POST", path, by=scope, data={"reason": "go away"}).status_code == 403
    known = place.ask("GET", f"/api/v1/policy?project={PROJECT}").json()["policy"]
    assert known["block_on"]["value"] != "minor"
    assert place.ask("PATCH", "/api/v1/policy", json=CHANGE | {"values": {"block_on": "major"}}).status_code == 200


def test_a_narrow_token_gets_no_wider_by_a_sign_in(place: Place, browser: Browser) -> None:
    """The same token, given to the form of the sign-in, becomes a cookie: it may do no more than before."""
    assert browser.with_token("read_api").status_code == 303
    page = browser.get("/sessions")
    assert page.status_code == 200
    form = {"csrf": field(page), "flow": "developer", "subject": f"{PROJECT}#1"}
    assert browser.post("/sessions", form).status_code == 403
    json_of = {"X-CSRF-Token": form["csrf"], "Origin": browser.url, "Sec-Fetch-Site": "same-origin"}
    refused = browser.client.request("PATCH", f"{browser.url}/api/v1/policy", json=CHANGE, headers=json_of)
    assert (refused.status_code, "scopes" in refused.text) == (403, True)
    assert browser.post("/sign-out", {"csrf": form["csrf"]}).status_code == 303


def test_who_signed_in_at_gitlab_acts_as_themselves_though_the_token_only_reads(browser: Browser) -> None:
    browser.with_gitlab()
    csrf = field(browser.get("/sessions"))
    json_of = {"X-CSRF-Token": csrf, "Origin": browser.url, "Sec-Fetch-Site": "same-origin"}
    change = CHANGE | {"values": {"block_on": "critical"}}
    assert browser.client.request("PATCH", f"{browser.url}/api/v1/policy", json=change, headers=json_of).is_success


# --- what JSON can hold --------------------------------------------------------------------------


def test_half_a_letter_is_told_about_and_breaks_nothing(place: Place) -> None:
    flows = "/api/v4/ai/duo_workflows/workflows"
    for body in ({"project_id": "\ud800/x", "goal": "x"}, {"project_id": PROJECT, "workflow_definition": "\ud800"}):
        assert place.ask("POST", flows, content=json.dumps(body)).status_code in {400, 404, 422}
    about = {"object_kind": "merge_request", "user": {"username": "\ud800", "id": 4}}
    for path in ("\ud800/x", PROJECT):
        hook = about | {
            "project": {"path_with_namespace": path},
            "object_attributes": {"iid": 1, "state": "opened", "action": "open"},
        }
        assert deliver(place, json.dumps(hook).encode()).status_code in {202, 422}


# --- texts made to keep the server busy ------------------------------------------------------------


@pytest.mark.parametrize("piece", ["\n", "```\n", "`a", "<!--", "> ", "@developer-bot", "~~~\n\n"])
def test_a_long_note_keeps_nobody_waiting(piece: str) -> None:
    """GitLab takes notes of a million characters; whoever may comment could send one after the other."""
    note = piece * (1_000_000 // len(piece)) + "\n@developer-bot hello"
    began = time.thread_time()
    mentioned(note, OURS.developer)
    assert time.thread_time() - began < 0.5
    assert mentioned(f"@developer-bot hello{piece * 200_000}", OURS.developer) is not None


def test_who_sends_a_request_in_drops_is_let_go_of(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand connections that never say what they want would leave none for others."""
    monkeypatch.setattr(Connection, "patience", 1.0)
    address = urlsplit(place.server.url)
    head = f"POST /sign-in HTTP/1.1\r\nHost: {address.netloc}\r\n"
    with ExitStack() as stack:
        made = []
        for said in (
            "",
            head,
            f"{head}Content-Length: 90\r\n\r\na",
            f"GET /health HTTP/1.1\r\nHost: {address.netloc}\r\n\r\nG",
        ):
            one = stack.enter_context(socket.create_connection((address.hostname or "", address.port or 0), timeout=10))
            one.sendall(said.encode())
            made.append(one)
        began, ended = time.monotonic(), set[int]()
        while len(ended) < len(made) and time.monotonic() - began < 8:
            for number, one in enumerate(made):
                one.settimeout(0.2)
                try:
                    if number not in ended and not one.recv(4_000):
                        ended.add(number)
                        continue
                    if number not in ended:
                        one.sendall(b"a")
                except TimeoutError:
                    continue
                except OSError:
                    ended.add(number)
        assert ended == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("begun", "piece"),
    [("GET /", "a" * 1_000), ("GET / HTTP/1.1\r\nX: ", "a" * 1_000), ("GET / HTTP/1.1\r\n", "X: 1\r\n")],
)
def test_a_head_without_end_is_refused(place: Place, begun: str, piece: str) -> None:
    """Nobody looks at a request before its head is over: it must be over some time."""
    address = urlsplit(place.server.url)
    sent = 0
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as one:
        one.sendall(begun.encode())
        with suppress(ConnectionError):
            while sent < 16 * 1024**2:
                sent += one.send(piece.encode() * 100)
    assert sent < 16 * 1024**2


async def test_one_person_watches_on_so_many_connections_and_no_more() -> None:
    feeds = Feeds(None)  # type: ignore[arg-type] # what is sent comes from elsewhere here

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b": ping"

    async def still() -> None:
        pass

    streams = [feeds.held(1, endless(), still=still) for _ in range(MOST)]
    for one in streams:
        await anext(one)
    with pytest.raises(TooMany):
        feeds.held(1, endless(), still=still)
    feeds.held(2, endless(), still=still)
    await streams.pop().aclose()  # type: ignore[attr-defined] # it is a generator
    feeds.held(1, endless(), still=still)


# --- who nobody knows ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TriggerKind.DEVELOP, TriggerKind.FIX])
async def test_a_delivery_that_does_not_say_who_it_was_starts_nothing(kind: TriggerKind) -> None:
    """Without the number of whoever wrote it, no role could be looked at."""
    hands = Hands(reviewer=None, developer=None, triggers=None)  # type: ignore[arg-type] # it ends before they are asked
    with pytest.raises(NotAllowed):
        await begin(hands, Trigger(kind, Subject(PROJECT, "#", 1), "ann"))


@pytest.mark.parametrize(
    "path", ["/api/v1/reviews", "/api/v4/ai/duo_workflows/workflows", "/reviews", "/webhooks/gitlab"]
)
async def test_a_database_that_fails_names_no_machine_and_no_user_to_anybody(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = 'connection to server at "10.9.8.7", port 5432 failed: FATAL: password of user "mergewright" is wrong'
    request = Request({"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []})
    answer = await tell(request, NoDatabase(f"the database gives no answer: {said}", hint="look at 10.9.8.7"))
    assert answer.status_code == 503
    text = bytes(answer.body).decode()
    assert "he database gives no answer" in text
    assert "10.9.8.7" not in text
    assert "FATAL" not in text
    assert said in caplog.text, "whoever runs the server has to know"
