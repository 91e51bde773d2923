"""The server over real HTTP, beside a real local forge: webhooks in, reviews out, and who may do what."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mergewright.app.connect import LocalConnection, connection_file
from mergewright.app.local import tell_of_events
from mergewright.app.settings import Settings, read_settings
from mergewright.app.webhooks import webhook_token
from mergewright.server.serving import Server
from tests.review.stage import PROJECT, Stage, open_stage, propose

SECONDS = 120.0
FAULT = {"shop/price.py": "def total(prices):\n    return sum(prises)\n"}


class Place:
    """A forge with a project, and the server that reviews it without a model."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.stage = open_stage(folder / "stage")
        home = folder / "home"
        self.settings: Settings = replace(
            read_settings({"MERGEWRIGHT_HOME": str(home), "PATH": "/usr/bin:/bin"}), **settings
        )
        self.settings.make_home()
        tokens = self.stage.tokens
        LocalConnection(
            self.stage.served.url,
            "ann",
            tokens["ann"],
            "developer-bot",
            tokens["developer-bot"],
            "reviewer",
            tokens["reviewer"],
        ).write(connection_file(self.settings))
        self.server = self.start()

    def start(self) -> Server:
        server = Server(self.settings, port=0)
        server.start()
        server.wait()
        tell_of_events(self.stage.served, self.settings, PROJECT, server.url)
        return server

    def close(self) -> None:
        self.server.stop()
        asyncio.run(self.stage.close())

    def ask(self, verb: str, path: str, *, by: str = "ann", **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.stage.tokens[by]}"} if by else {}
        return httpx2.request(
            verb,
            f"{self.server.url}{path}",
            headers=headers | more.pop("headers", {}),
            trust_env=False,
            timeout=30,
            **more,
            verify=False,
        )

    def until(self, true: Callable[[], Any], *, seconds: float = SECONDS) -> Any:
        """Wait until something holds; gives what it is."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if found := true():
                return found
            time.sleep(0.1)
        raise AssertionError("it never came to be")

    def assign(self) -> None:
        (user,) = self.stage.api("GET", "/members/all?query=reviewer")
        self.stage.api("PUT", "/merge_requests/1", reviewer_ids=[user["id"]])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place for what asks without leaving anything behind that another test would see."""
    made = Place(tmp_path_factory.mktemp("shared"))
    yield made
    made.close()


def quiet(stage: Stage) -> bool:
    """Whether no further review has come for a while."""
    before = len(stage.summaries())
    time.sleep(4)
    return len(stage.summaries()) == before


def deliver(place: Place, payload: Any, **headers: str) -> httpx2.Response:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    given = {"X-Gitlab-Token": webhook_token(place.settings)} | headers
    return place.ask("POST", "/webhooks/gitlab", by="", content=body, headers=given)


def test_r07_whoever_makes_the_reviewer_a_reviewer_gets_one_review(place: Place) -> None:
    propose(place.stage, FAULT, title="Draft: x")
    time.sleep(2)
    assert place.stage.summaries() == [], "a draft is reviewed when somebody asks"
    place.assign()
    place.until(lambda: place.stage.merge_request()["detailed_merge_status"] in {"requested_changes", "draft_status"}
                and place.stage.summaries())  # fmt: skip
    assert quiet(place.stage)
    assert len(place.stage.summaries()) == 1


def test_r07_a_burst_of_pushes_ends_in_one_review_of_the_newest_head(place: Place) -> None:
    propose(place.stage, FAULT)
    place.until(place.stage.summaries)
    for number in range(12):
        head = place.stage.push({"shop/price.py": f"def total(prices):\n    return {number}\n"})
    place.until(lambda: any(f"`{head[:8]}`" in one for one in place.stage.summaries()))
    assert quiet(place.stage)
    assert len(place.stage.summaries()) == 2


def test_r49_a_request_for_another_look_gives_exactly_one_review(place: Place) -> None:
    propose(place.stage, FAULT)
    place.until(place.stage.summaries)
    place.stage.say("@reviewer review")
    place.until(lambda: len(place.stage.summaries()) == 2)
    assert quiet(place.stage)
    assert len(place.stage.summaries()) == 2


def test_r29_a_reply_in_the_thread_dismisses_a_finding(place: Place) -> None:
    propose(place.stage, FAULT)
    (thread,) = place.until(place.stage.threads)
    place.until(place.stage.summaries)
    place.stage.say("@reviewer dismiss because we know", thread=thread["id"])
    place.until(lambda: place.stage.notes("Dismissed by @ann"))
    place.until(lambda: place.stage.merge_request()["detailed_merge_status"] == "mergeable")


def test_triggers_of_a_process_that_died_are_done_by_the_next_one(place: Place) -> None:
    propose(place.stage, FAULT, title="Draft: x")
    place.server.stop()
    off = Server(place.settings, port=0, worker=False)
    off.start()
    off.wait()
    tell_of_events(place.stage.served, place.settings, PROJECT, off.url)
    asked = httpx2.post(
        f"{off.url}/api/v1/reviews",
        json={"subject": f"{PROJECT}!1"},
        headers={"PRIVATE-TOKEN": place.stage.tokens["bob"]},
        trust_env=False,
        timeout=30,
        verify=False,
    )
    assert asked.status_code == 202
    off.stop()
    assert place.stage.summaries() == []
    place.server = place.start()
    place.until(place.stage.summaries)


# --- who may come in ---------------------------------------------------------------------------

PUSH = {
    "object_kind": "merge_request",
    "user": {"username": "ann"},
    "project": {"path_with_namespace": PROJECT},
    "object_attributes": {"iid": 1, "action": "update", "oldrev": "a", "state": "opened"},
    "changes": {},
}


def test_a_delivery_is_taken_once_and_only_with_the_secret(shared: Place) -> None:
    assert deliver(shared, PUSH, **{"X-Gitlab-Token": "wrong"}).status_code == 401
    assert deliver(shared, PUSH, **{"X-Gitlab-Token": ""}).status_code == 401
    first = deliver(shared, PUSH, **{"Idempotency-Key": "k1"})
    again = deliver(shared, PUSH, **{"Idempotency-Key": "k1"})
    assert (first.status_code, first.json()) == (202, {"taken": 1, "known": False})
    assert (again.status_code, again.json()) == (200, {"taken": 0, "known": True})


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"object_kind": "merge_request"}', b"null"]
)
def test_a_malformed_delivery_is_refused_in_a_sentence(shared: Place, body: bytes) -> None:
    answer = deliver(shared, body)
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_an_oversized_delivery_is_refused(shared: Place) -> None:
    assert deliver(shared, b"x" * (11 * 1024**2)).status_code == 413


def test_what_our_own_accounts_do_triggers_nothing(shared: Place) -> None:
    for name in ("reviewer", "developer-bot", "project_1_bot_abc"):
        assert deliver(shared, {**PUSH, "user": {"username": name}}).json() == {"taken": 0, "known": False}


def test_a_signed_delivery_is_taken_and_an_old_one_is_not(tmp_path: Path) -> None:
    key = base64.b64encode(b"k" * 24).decode()
    place = Place(tmp_path, webhook_signing_key=f"whsec_{key}")
    try:
        body = json.dumps(PUSH).encode()

        def signed(at: float) -> httpx2.Response:
            text = f"m1.{int(at)}.".encode() + body
            sign = base64.b64encode(hmac.new(b"k" * 24, text, hashlib.sha256).digest()).decode()
            headers = {"webhook-id": "m1", "webhook-timestamp": str(int(at)), "webhook-signature": f"v1,{sign}"}
            return deliver(place, body, **headers)

        assert signed(time.time()).status_code == 202
        assert signed(time.time() - 3_600).status_code == 401
        assert deliver(place, PUSH).status_code == 401
    finally:
        place.close()


def test_rest_shows_a_project_to_those_who_may_read_it_and_hides_it_from_the_rest(place: Place) -> None:
    propose(place.stage, FAULT)
    place.until(place.stage.summaries)
    (review,) = place.until(lambda: place.ask("GET", f"/api/v1/reviews?project={PROJECT}&iid=1").json())
    place.stage.served.seed_user("mallory")
    place.stage.tokens["mallory"] = place.stage.served.seed_token("mallory")
    (finding,) = place.ask("GET", f"/api/v1/findings?project={PROJECT}&iid=1", by="rita").json()
    assert (finding["rule"], finding["state"]) == ("F821", "open")
    for path in (f"/reviews?project={PROJECT}", f"/reviews/{review['id']}", f"/policy?project={PROJECT}"):
        assert place.ask("GET", f"/api/v1{path}").status_code == 200
        assert place.ask("GET", f"/api/v1{path}", by="mallory").status_code == 404
        assert place.ask("GET", f"/api/v1{path}", by="").status_code == 401
    forged = {"Authorization": "Bearer glpat-not-a-token-of-anybody"}
    assert place.ask("GET", f"/api/v1/policy?project={PROJECT}", by="", headers=forged).status_code == 401
    settled = f"/api/v1/findings/{finding['id']}/dismiss"
    assert place.ask("POST", settled, by="mallory", json={"reason": "because"}).status_code == 404
    assert place.ask("POST", settled, by="bob", json={"reason": "because"}).status_code == 403
    assert place.ask("POST", settled, json={"reason": ""}).status_code == 422
    assert "Dismissed by @ann" in place.ask("POST", settled, json={"reason": "because"}).json()["message"]
    lines = place.ask("GET", f"/api/v1/audit?project={PROJECT}").text.splitlines()
    assert [json.loads(line)["actor"] for line in lines if json.loads(line)["action"] == "refuse"] == ["bob"]
    assert place.ask("GET", f"/api/v1/audit?project={PROJECT}", by="bob").status_code == 403
    told = place.ask("GET", f"/api/v1/metrics?project={PROJECT}").json()
    assert told["findings"]["fates"]["dismissed"] == 1


def test_r30_the_policy_is_changed_over_rest_by_maintainers_with_a_reason(shared: Place) -> None:
    change = {"scope": PROJECT, "values": {"block_on": "major"}, "reason": "agreed"}
    assert shared.ask("PATCH", "/api/v1/policy", by="bob", json=change).status_code == 403
    assert shared.ask("PATCH", "/api/v1/policy", json={**change, "reason": ""}).status_code == 422
    wrong = shared.ask("PATCH", "/api/v1/policy", json={**change, "values": {"block_on": "silly"}})
    assert (wrong.status_code, wrong.json()["title"]) == (422, "`block_on` is `silly`")
    for scope in ("team", "organisation", ""):
        assert shared.ask("PATCH", "/api/v1/policy", json={**change, "scope": scope}).status_code == 403
    assert shared.ask("PATCH", "/api/v1/policy", json={**change, "scope": "nowhere"}).status_code == 404
    assert shared.ask("PATCH", "/api/v1/policy", json=change).status_code == 200
    told = shared.ask("GET", f"/api/v1/policy?project={PROJECT}").json()["policy"]["block_on"]
    assert told == {"value": "major", "from": PROJECT}


def test_r29_an_override_over_rest_takes_the_same_role(place: Place) -> None:
    propose(place.stage, FAULT)
    place.until(lambda: place.stage.merge_request()["detailed_merge_status"] == "requested_changes")
    place.until(lambda: place.ask("GET", f"/api/v1/reviews?project={PROJECT}").json()[0]["verdict"])
    given = {"subject": f"{PROJECT}!1", "reason": "the release is today"}
    refused = place.ask("POST", "/api/v1/merge_requests/override", by="bob", json=given)
    assert refused.status_code == 403
    assert "Maintainer" in refused.json()["title"]
    assert place.ask("POST", "/api/v1/merge_requests/override", json=given).status_code == 200
    assert place.stage.merge_request()["detailed_merge_status"] == "mergeable"


def test_every_answer_carries_the_headers_of_a_careful_server(shared: Place) -> None:
    for path in ("/health", "/api/v1/openapi.json", "/nothing"):
        headers = shared.ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]
