"""What whoever looks after a server asks it, over real HTTP."""

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from mergewright.app.logs import begin_logs
from mergewright.app.settings import read_settings
from mergewright.domain.errors import WrongUse
from mergewright.server.access import route_of
from mergewright.server.serving import Server
from tests.review.stage import PROJECT, propose
from tests.server.test_serving import FAULT, Place, deliver

TOKEN = "a-token-for-the-metrics"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("open"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("guarded"), metrics_token=TOKEN)
    yield made
    made.close()


def ask(place: Place, path: str, **headers: str) -> httpx2.Response:
    return place.ask("GET", path, by="", headers=headers)


def test_a_process_that_lives_says_so_to_everybody(place: Place) -> None:
    assert ask(place, "/health").text == "ok"
    assert ask(place, "/-/health").text == "mergewright OK"
    assert ask(place, "/-/liveness").json() == {"status": "ok"}


def test_it_is_ready_when_each_part_answers_and_each_is_named(place: Place) -> None:
    answer = ask(place, "/-/readiness")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "checks": {name: {"status": "ok"} for name in ("database", "forge", "workers", "sandbox")},
    }


def test_without_its_forge_it_is_not_ready_and_says_which_part_fails(tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        place.stage.served.stop()
        answer = ask(place, "/-/readiness")
        assert answer.status_code == 503
        told = answer.json()
        assert told["status"] == "failed"
        assert [name for name, one in told["checks"].items() if one["status"] == "failed"] == ["forge"]
        assert "forge" in told["checks"]["forge"]["message"]
        assert ask(place, "/-/liveness").status_code == 200, "it lives all the same: a restart would not help"
        assert ask(place, "/-/readiness", **{"X-Forwarded-For": "203.0.113.9"}).json() == {"status": "failed"}
    finally:
        place.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"X-Real-IP": "203.0.113.9"},
        {"Host": "agents.example.com"},
        {"Host": "127.0.0.1.evil.example"},
    ],
)
def test_numbers_and_details_are_not_for_who_comes_through_a_proxy_or_by_another_name(
    place: Place, headers: dict[str, str]
) -> None:
    assert ask(place, "/-/metrics").status_code == 200
    refused = ask(place, "/-/metrics", **headers)
    assert refused.status_code in {400, 401, 403, 421}
    assert "mergewright_sessions" not in refused.text
    assert "checks" not in ask(place, "/-/readiness", **headers).text


def test_with_a_token_set_only_the_token_opens_them(guarded: Place) -> None:
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": TOKEN}, {"Authorization": "Bearer"}):
        assert ask(guarded, "/-/metrics", **headers).status_code == 401
        assert "checks" not in ask(guarded, "/-/readiness", **headers).text
    allowed = {"Authorization": f"Bearer {TOKEN}"}
    assert ask(guarded, "/-/metrics", **allowed).status_code == 200
    assert "checks" in ask(guarded, "/-/readiness", **allowed).text
    odd = httpx2.get(
        f"{guarded.server.url}/-/metrics",
        headers=[(b"Authorization", b"Bearer \xfc")],
        trust_env=False,
        timeout=30,
        verify=False,
    )
    assert odd.status_code == 401


def test_prometheus_finds_what_was_done(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mergewright.store.census.SELDOM", 0.0)
    deliver(place, {"object_kind": "nothing"}, **{"X-Gitlab-Event": "Job Hook"})
    deliver(place, {}, **{"X-Gitlab-Event": "invented", "X-Gitlab-Token": "wrong"})
    place.ask("GET", "/api/v1/findings?project=team/shop&state=open")
    ask(place, "/no/such/page?private_token=glpat-0123456789abcdefghij")
    propose(place.stage, FAULT)
    place.until(place.stage.summaries)

    def counted() -> str:
        text = ask(place, "/-/metrics").text
        done = 'mergewright_session_turns_total{flow="code_review"', 'route="unknown",status="404"'
        return text if all(one in text for one in done) else ""

    text = place.until(counted)
    for line in (
        'mergewright_webhook_deliveries_total{event="Job Hook",outcome="nothing to do"} 1.0',
        'mergewright_webhook_deliveries_total{event="other",outcome="refused"} 1.0',
        'mergewright_session_turns_total{flow="code_review",reason="finished",status="finished"} 1.0',
        'mergewright_sessions{flow="code_review",status="finished"} 1.0',
        'mergewright_forge_calls_total{method="POST",status="201"}',
        'mergewright_http_requests_total{method="GET",route="/api/v1/findings",status="200"} 1.0',
        'mergewright_http_requests_total{method="GET",route="unknown",status="404"} 1.0',
        "mergewright_findings{severity=",
        'mergewright_reviews{verdict="requested_changes"} 1.0',
        "mergewright_workers 1.0",
        "mergewright_sse_watchers 0.0",
    ):
        assert line in text, line
    assert "team/shop" not in text
    assert "glpat" not in text


def test_whoever_watches_a_session_live_is_counted_as_long_as_they_do(place: Place) -> None:
    if not place.stage.api("GET", "/merge_requests"):
        propose(place.stage, FAULT, title="Draft: y")
    asked = {"flow": "code_review", "subject": f"{PROJECT}!1", "start": False}
    begun = place.ask("POST", "/api/v1/sessions", json=asked)
    assert begun.status_code == 201, begun.text
    path = f"{place.server.url}/api/v1/sessions/{begun.json()['id']}/events/stream"
    token = {"Authorization": f"Bearer {place.stage.tokens['ann']}"}
    with httpx2.stream("GET", path, headers=token, trust_env=False, timeout=30, verify=False) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        place.until(lambda: "mergewright_sse_watchers 1.0" in ask(place, "/-/metrics").text)
    place.until(lambda: "mergewright_sse_watchers 0.0" in ask(place, "/-/metrics").text)


@pytest.mark.parametrize(
    ("path", "route", "params", "template"),
    [
        ("/api/v1/reviews", "/reviews", {}, "/api/v1/reviews"),
        ("/api/v1/reviews/7", "/reviews/{number}", {"number": 7}, "/api/v1/reviews/{number}"),
        ("/reviews/g/p/-/3", "/reviews/{project:path}/-/{iid}", {"project": "g/p", "iid": 3},
         "/reviews/{project:path}/-/{iid}"),
        ("/api/sessions/k3m/events", "/events", {"id": "k3m"}, "/api/sessions/{id}/events"),
    ],
)  # fmt: skip
def test_a_route_is_named_by_its_template(path: str, route: str, params: dict[str, Any], template: str) -> None:
    scope = {"path": path, "route": SimpleNamespace(path=route), "path_params": params}
    assert route_of(scope) == template
    assert route_of({"path": f"{path}x"}) == "unknown"


def test_the_access_log_names_route_and_person_and_neither_query_nor_token(place: Place) -> None:
    stream, root = io.StringIO(), logging.getLogger()
    handlers, level = list(root.handlers), logging.getLogger("mergewright").level
    begin_logs(replace(place.settings, log="json"), stream)
    try:
        place.ask("GET", "/api/v1/reviews?project=team/shop&secret=query-words")
        ask(place, "/-/health")
        ask(place, "/a-path-that-somebody-guessed")
        # A line is written when the answer is out, which may be a moment after it is in.
        place.until(lambda: stream.getvalue().count("mergewright.access") == 2)
    finally:
        root.handlers[:] = handlers
        logging.getLogger("mergewright").setLevel(level)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    lines = [line for line in lines if line["logger"] == "mergewright.access"]
    assert [(line["method"], line["route"], line["status"], line.get("person")) for line in lines] == [
        ("GET", "/api/v1/reviews", 200, "ann"),
        ("GET", "unknown", 404, None),
    ]
    assert all(line["ms"] >= 0 for line in lines)
    for hidden in ("query-words", place.stage.tokens["ann"], "guessed"):
        assert hidden not in stream.getvalue()


def test_the_server_listens_where_it_is_told_to_and_refuses_what_is_no_address(tmp_path: Path) -> None:
    settings = read_settings({"MERGEWRIGHT_HOME": str(tmp_path)})
    assert settings.listen == "127.0.0.1", "nobody else reaches it unless that was asked for"
    open_to_all = Server(replace(settings, listen="0.0.0.0"), port=0)
    assert open_to_all.url.startswith("http://127.0.0.1:")
    open_to_all.stop()
    with pytest.raises(WrongUse, match=r"203\.0\.113\.7"):
        Server(replace(settings, listen="203.0.113.7"), port=0)
    with pytest.raises(WrongUse, match="no-address"):
        Server(replace(settings, listen="no-address"), port=0)
