"""Webhooks: what is sent, with which headers, in which order, and what happens when nobody listens."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.localforge.conftest import People, World, build_world, commit, open_merge_request

RECORDED = Path(__file__).parent / "recorded" / "webhooks"


@dataclass
class Receiver:
    """A listener that keeps what it gets and answers with the statuses it was told, then with 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)

    def wait(self, count: int, *, seconds: float = 20) -> list[tuple[dict[str, str], dict[str, Any]]]:
        deadline = time.monotonic() + seconds
        while len(self.got) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(self.got) >= count, [payload["object_kind"] for _, payload in self.got]
        return self.got

    def last(self, kind: str) -> dict[str, Any]:
        """The newest payload of a kind."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = [payload for _, payload in self.got if payload["object_kind"] == kind]
            if found:
                return found[-1]
            time.sleep(0.02)
        raise AssertionError(f"nothing of kind {kind} came")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append((dict(self.headers.items()), json.loads(body)))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield receiver
    server.shutdown()
    server.server_close()
    thread.join()


EVENTS = ("push", "issues", "note", "merge_requests", "pipeline", "job")


@pytest.fixture
def hook(world: World, people: People, receiver: Receiver) -> Iterator[int]:
    wanted = {f"{event}_events": True for event in EVENTS}
    answer = people.mia.post(f"{world.path}/hooks", json={"url": receiver.url, "token": "s3cret"} | wanted)
    yield int(answer.json()["id"])
    people.mia.delete(f"{world.path}/hooks/{answer.json()['id']}")


def keys_missing(recorded: Any, ours: Any, where: str = "") -> list[str]:
    """The keys of a recorded payload that ours lacks, at any depth both have."""
    if isinstance(recorded, list) and isinstance(ours, list) and recorded and ours:
        return keys_missing(recorded[0], ours[0], f"{where}[]")
    if not isinstance(recorded, dict) or not isinstance(ours, dict):
        return []
    missing = [f"{where}.{key}" for key in recorded if key not in ours]
    return missing + [
        lack for key in ours if key in recorded for lack in keys_missing(recorded[key], ours[key], f"{where}.{key}")
    ]


# Features this forge has not: runners, environments, escalations, positions in lists, parents in other projects.
ABSENT = {
    ".object_attributes.escalation_policy", ".object_attributes.escalation_status", ".object_attributes.weight",
    ".source_pipeline", ".project.homepage", ".issue.position", ".issue.branch_name", ".merge_request.position",
    ".changes.updated_by_id", ".changes.updated_at", ".changes.state_id", ".changes.labels", ".changes.closed_at",
    ".changes.description", ".changes.title", ".changes.total_time_spent", ".assignee", ".assignees", ".reviewers",
    ".merge_request.assignee",
}  # fmt: skip


def lacking(name: str, ours: dict[str, Any]) -> list[str]:
    recorded = json.loads((RECORDED / f"{name}.json").read_text())
    return [key for key in keys_missing(recorded, ours) if key not in ABSENT]


def test_every_event_carries_the_keys_gitlab_sends(world: World, people: People, receiver: Receiver, hook: int) -> None:
    issue = people.dev.post(f"{world.path}/issues", json={"title": "Event"}).json()
    people.dev.post(f"{world.path}/issues/{issue['iid']}/notes", json={"body": "On an issue"})
    assert lacking("issue", receiver.last("issue")) == []
    assert lacking("note_issue", receiver.last("note")) == []
    row = open_merge_request(people.dev, world.path, "hooks/mr")
    people.dev.post(f"{world.path}/merge_requests/{row['iid']}/notes", json={"body": "On a merge request"})
    commit(people.dev, world.path, "hooks/mr", {".gitlab-ci.yml": "job: {script: 'true'}\n"}, start=None)
    assert lacking("merge_request", receiver.last("merge_request")) == []
    assert lacking("pipeline", receiver.last("pipeline")) == []
    assert lacking("job", receiver.last("build")) == []
    assert lacking("push", receiver.last("push")) == []
    notes = [payload for _, payload in receiver.got if payload["object_kind"] == "note"]
    assert lacking("note_merge_request", notes[-1]) == []


def test_a_delivery_has_gitlabs_headers_and_the_secret(
    world: World, people: People, receiver: Receiver, hook: int
) -> None:
    people.dev.post(f"{world.path}/issues", json={"title": "Headers"})
    headers, payload = receiver.wait(1)[0]
    assert headers["X-Gitlab-Event"] == "Issue Hook"
    assert headers["X-Gitlab-Token"] == "s3cret"
    assert headers["X-Gitlab-Instance"] == world.forge.url
    assert headers["User-Agent"].startswith("GitLab/19.5")
    assert {"X-Gitlab-Webhook-Uuid", "X-Gitlab-Event-Uuid", "Idempotency-Key"} <= {
        "-".join(word.capitalize() for word in name.split("-")) for name in headers
    }
    assert payload["object_attributes"]["action"] == "open"
    assert payload["user"]["username"] == "dev"


def test_a_failed_delivery_is_tried_again_with_the_same_key_and_later_ones_wait(
    world: World, people: People, receiver: Receiver, hook: int
) -> None:
    receiver.statuses = [500, 503]
    for title in ("First", "Second"):
        people.dev.post(f"{world.path}/issues", json={"title": title})
    got = receiver.wait(4)
    assert [payload["object_attributes"]["title"] for _, payload in got] == ["First", "First", "First", "Second"]
    keys = [headers["Idempotency-Key"] for headers, _ in got]
    assert keys[0] == keys[1] == keys[2] != keys[3]


def test_a_delivery_that_never_arrives_is_given_up_and_the_next_goes_out(
    world: World, people: People, receiver: Receiver, hook: int
) -> None:
    receiver.statuses = [500, 500, 500]
    for title in ("Lost", "Found"):
        people.dev.post(f"{world.path}/issues", json={"title": title})
    titles = [payload["object_attributes"]["title"] for _, payload in receiver.wait(4)]
    assert titles == ["Lost", "Lost", "Lost", "Found"]


def test_merge_request_events_say_what_changed(world: World, people: People, receiver: Receiver, hook: int) -> None:
    row = open_merge_request(people.dev, world.path, "hooks/changes", title="Draft: x")
    path = f"{world.path}/merge_requests/{row['iid']}"
    mia = people.dev.get("/users", params={"username": "mia"}).json()[0]["id"]
    people.dev.put(path, json={"title": "x", "reviewer_ids": [mia]})
    commit(people.dev, world.path, "hooks/changes", {"again.txt": "2"}, start=None)
    people.mia.put(f"{path}/merge")

    def events() -> list[dict[str, Any]]:
        return [payload for _, payload in receiver.got if payload["object_kind"] == "merge_request"]

    deadline = time.monotonic() + 20
    while len(events()) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    opened, updated, pushed, merged = events()
    assert [event["object_attributes"]["action"] for event in (opened, updated, pushed, merged)] == [
        "open", "update", "update", "merge",
    ]  # fmt: skip
    assert updated["changes"]["draft"] == {"previous": True, "current": False}
    assert [user["username"] for user in updated["changes"]["reviewers"]["current"]] == ["mia"]
    assert updated["reviewers"][0]["state"] == "unreviewed"
    assert "oldrev" not in updated["object_attributes"]
    assert pushed["object_attributes"]["oldrev"] == row["sha"]
    assert merged["object_attributes"]["state"] == "merged"


def test_a_test_delivery_can_be_asked_for(world: World, people: People, receiver: Receiver, hook: int) -> None:
    test = f"{world.path}/hooks/{hook}/test"
    assert people.mia.post(f"{test}/push_events").status_code == 201
    assert receiver.last("push")["ref"] == "refs/heads/main"
    issue = people.dev.post(f"{world.path}/issues", json={"title": "x"}).json()
    people.dev.post(f"{world.path}/issues/{issue['iid']}/notes", json={"body": "Newest"})
    for event in ("issues", "note"):
        assert people.mia.post(f"{test}/{event}_events").status_code == 201
    assert people.mia.post(f"{test}/odd_events").status_code == 400
    assert people.dev.post(f"{test}/push_events").status_code == 403


def test_what_was_not_delivered_goes_out_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    world = build_world(tmp_path)
    world.forge.start()
    with world.client("mia") as mia:
        mia.post(f"{world.path}/hooks", json={"url": receiver.url, "issues_events": True})
        receiver.statuses = [500, 500]
        world.forge.instance.wakers.clear()
        mia.post(f"{world.path}/issues", json={"title": "Late"})
    world.forge.instance.wakers.append(lambda: None)
    assert receiver.got == []
    world.forge.stop()
    world.forge.start()
    try:
        assert receiver.wait(3)[0][1]["object_attributes"]["title"] == "Late"
    finally:
        world.forge.stop()


def test_issue_events_tell_labels_and_movedthat_changed_whole(
    world: World, people: People, receiver: Receiver, hook: int
) -> None:
    issue = people.dev.post(f"{world.path}/issues", json={"title": "x", "labels": "one"}).json()
    mia = people.dev.get("/users", params={"username": "mia"}).json()[0]["id"]
    people.dev.put(f"{world.path}/issues/{issue['iid']}", json={"add_labels": "two", "assignee_ids": [mia]})
    _, (_, payload) = receiver.wait(2)
    changes = payload["changes"]
    assert [[one["title"] for one in changes["labels"][side]] for side in ("previous", "current")] == [
        ["one"],
        ["one", "two"],
    ]
    moved = changes["assignees"]
    assert (moved["previous"], [one["username"] for one in moved["current"]]) == ([], ["mia"])
