"""External status checks: who is asked, how they answer, and what that holds up."""

import hmac
import itertools
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import gitlab
import pytest
from sqlalchemy import select, update

from mergewright.localforge.tables import StatusCheckDelivery, StatusCheckResponse
from tests.localforge.conftest import OnTier, Tiered, commit
from tests.localforge.test_webhooks import Receiver, receiver  # noqa: F401 - a fixture

BRANCHES = (f"checks-{number}" for number in itertools.count())
NAMES = (f"check {number}" for number in itertools.count())


@pytest.fixture
def ultimate(on_tier: OnTier) -> Iterator[Tiered]:
    """A forge whose project has no status checks and does not require them, before and after."""
    tiered = on_tier("ultimate")
    yield tiered
    for check in tiered.people.mia.get(checks(tiered)).json():
        tiered.people.mia.delete(f"{checks(tiered)}/{check['id']}")
    require(tiered, on=False)


def checks(tiered: Tiered) -> str:
    return f"{tiered.path}/external_status_checks"


def require(tiered: Tiered, *, on: bool = True) -> None:
    changed = tiered.people.mia.put(tiered.path, json={"only_allow_merge_if_all_status_checks_passed": on})
    assert changed.json()["only_allow_merge_if_all_status_checks_passed"] is on


def made(tiered: Tiered, url: str = "http://127.0.0.1:9/none", **fields: Any) -> dict[str, Any]:
    answer = tiered.people.mia.post(checks(tiered), json={"name": next(NAMES), "external_url": url} | fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def answered(tiered: Tiered, path: str, check: dict[str, Any], status: str) -> int:
    head = tiered.people.dev.get(path).json()["sha"]
    body = {"sha": head, "external_status_check_id": check["id"], "status": status}
    return int(tiered.people.dev.post(f"{path}/status_check_responses", json=body).status_code)


@pytest.mark.parametrize("tier", ["free", "premium"])
def test_only_ultimate_has_status_checks(on_tier: OnTier, tier: str) -> None:
    tiered = on_tier(tier)
    body = {"name": "x", "external_url": "http://127.0.0.1:9/x"}
    assert tiered.people.mia.post(checks(tiered), json=body).status_code == 404
    assert tiered.people.mia.get(checks(tiered)).status_code == 404
    row = tiered.people.mia.put(tiered.path, json={"only_allow_merge_if_all_status_checks_passed": True}).json()
    assert "only_allow_merge_if_all_status_checks_passed" not in row
    assert tiered.status(tiered.opened(next(BRANCHES))) == "mergeable"


def test_maintainers_make_change_and_delete_checks(ultimate: Tiered) -> None:
    people, url = ultimate.people, "http://127.0.0.1:9/one"
    assert people.dev.post(checks(ultimate), json={"name": "x", "external_url": url}).status_code == 403
    check = made(ultimate, url, shared_secret="s3cret")
    assert (check["external_url"], check["hmac"], "s3cret" in json.dumps(check)) == (url, True, False)
    assert people.mia.post(checks(ultimate), json={"name": check["name"], "external_url": url}).status_code == 400
    one = f"{checks(ultimate)}/{check['id']}"
    assert people.mia.put(one, json={"name": "Renamed"}).json()["name"] == "Renamed"
    assert people.dev.delete(one).status_code == 403
    assert people.mia.delete(one).status_code == 204
    assert people.mia.get(checks(ultimate)).json() == []
    for wrong in ("ftp://x/y", "file:///etc/passwd", "http://", "no url", "http://a b/"):
        assert people.mia.post(checks(ultimate), json={"name": "x", "external_url": wrong}).status_code == 422


def test_a_check_that_has_not_passed_holds_the_merge_where_checks_must_pass(ultimate: Tiered) -> None:
    path, check = ultimate.opened(next(BRANCHES)), made(ultimate)
    assert ultimate.status(path) == "mergeable"
    require(ultimate)
    assert ultimate.status(path) == "status_checks_must_pass"
    assert ultimate.people.mia.put(f"{path}/merge").status_code == 405
    for status, after in (
        ("pending", "status_checks_must_pass"),
        ("failed", "status_checks_must_pass"),
        ("passed", "mergeable"),
    ):
        assert answered(ultimate, path, check, status) == 201
        assert [row["status"] for row in ultimate.people.dev.get(f"{path}/status_checks").json()] == [status]
        assert ultimate.status(path) == after


def test_an_answer_holds_for_the_head_alone(ultimate: Tiered) -> None:
    branch = next(BRANCHES)
    path, check = ultimate.opened(branch), made(ultimate)
    require(ultimate)
    old = ultimate.people.dev.get(path).json()["sha"]
    assert answered(ultimate, path, check, "passed") == 201
    commit(ultimate.people.dev, ultimate.path, branch, {f"more-{branch}": "x"}, start=None)
    assert ultimate.status(path) == "status_checks_must_pass"
    stale = {"sha": old, "external_status_check_id": check["id"], "status": "passed"}
    assert ultimate.people.dev.post(f"{path}/status_check_responses", json=stale).status_code == 409
    assert ultimate.people.rita.post(f"{path}/status_check_responses", json=stale).status_code == 403
    foreign = stale | {"sha": ultimate.people.dev.get(path).json()["sha"], "external_status_check_id": 999_999}
    assert ultimate.people.dev.post(f"{path}/status_check_responses", json=foreign).status_code == 404
    assert ultimate.status(path) == "status_checks_must_pass"


def test_a_check_that_stays_pending_has_failed_after_two_minutes(ultimate: Tiered) -> None:
    path, check = ultimate.opened(next(BRANCHES)), made(ultimate)
    assert answered(ultimate, path, check, "pending") == 201

    def status() -> str:
        return str(ultimate.people.dev.get(f"{path}/status_checks").json()[0]["status"])

    retry = f"{path}/status_checks/{check['id']}/retry"
    assert (status(), ultimate.people.dev.post(retry).status_code) == ("pending", 422)
    old = (datetime.now(UTC) - timedelta(seconds=121)).isoformat()
    with ultimate.world.forge.instance.write() as session:
        session.execute(
            update(StatusCheckResponse).where(StatusCheckResponse.status_check_id == check["id"]).values(created_at=old)
        )
    assert status() == "failed"
    assert ultimate.people.dev.post(retry).status_code == 202
    assert status() == "pending"


def test_a_check_is_asked_about_every_change_push_and_comment_with_a_signature(
    ultimate: Tiered,
    receiver: Receiver,  # noqa: F811
) -> None:
    branch, people = next(BRANCHES), ultimate.people
    check = made(ultimate, receiver.url, shared_secret="s3cret")
    path = ultimate.opened(branch)
    commit(people.dev, ultimate.path, branch, {f"more-{branch}": "x"}, start=None)
    people.dev.put(path, json={"title": "Another title"})
    answered(ultimate, path, check, "failed")
    people.dev.post(f"{path}/status_checks/{check['id']}/retry")
    people.dev.post(f"{path}/notes", json={"body": "What about it?"})
    got = receiver.wait(5)
    assert [payload["object_attributes"]["action"] for _, payload in got] == ["open", *["update"] * 4]
    about = {"id": check["id"], "name": check["name"], "external_url": receiver.url}
    for headers, payload in got:
        assert (payload["object_kind"], payload["external_approval_rule"]) == ("merge_request", about)
        body = json.dumps(payload, separators=(",", ":")).encode()
        assert headers["X-Gitlab-Signature"] == hmac.digest(b"s3cret", body, "sha256").hex()
        assert "s3cret" not in json.dumps(payload)
    assert got[1][1]["object_attributes"]["last_commit"]["id"] == people.dev.get(path).json()["sha"]
    assert "oldrev" in got[1][1]["object_attributes"]


def test_a_question_is_put_again_when_nobody_listens_and_never_follows_a_redirect(
    ultimate: Tiered,
    receiver: Receiver,  # noqa: F811
) -> None:
    receiver.statuses += [500, 302]
    made(ultimate, receiver.url)
    ultimate.opened(next(BRANCHES))
    keys = {headers["Idempotency-Key"] for headers, _ in receiver.wait(3)}
    assert len(keys) == 1
    deadline = time.monotonic() + 20
    while (state := _state(ultimate, min(keys))) == ("pending", 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert state == ("delivered", 3)


def _state(tiered: Tiered, key: str) -> tuple[str, int]:
    with tiered.world.forge.instance.read() as session:
        row = session.scalars(select(StatusCheckDelivery).where(StatusCheckDelivery.idempotency_key == key)).one()
        return row.state, row.attempts


def test_python_gitlab_drives_it(ultimate: Tiered) -> None:
    path = ultimate.opened(next(BRANCHES))
    with gitlab.Gitlab(ultimate.world.forge.url, private_token=ultimate.world.tokens["mia"]) as client:
        project = client.projects.get("acme/shop")
        check = project.external_status_checks.create({"name": "mw", "external_url": "http://127.0.0.1:9/x"})
        row = project.mergerequests.get(path.rpartition("/")[2])
        assert [one.status for one in row.status_checks.list(get_all=True)] == ["pending"]
        sent = {"sha": row.sha, "external_status_check_id": check.id, "status": "passed"}
        client.http_post(f"{path}/status_check_responses", post_data=sent)
        assert [one.status for one in row.status_checks.list(get_all=True)] == ["passed"]
        check.delete()
        assert project.external_status_checks.list(get_all=True) == []
