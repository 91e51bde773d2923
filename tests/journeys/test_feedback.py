"""What a reviewer wants of a merge request is worked in on its own branch, from the command line."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from mergewright.flows.registry import built_in
from tests.journeys.conftest import Serve
from tests.journeys.place import BOT, Place, git
from tests.journeys.proposed import (
    APPROVED,
    PATH,
    REVIEWED,
    SUBJECT,
    WORKED_IN,
    bodies,
    merge_request,
    newest_session,
    propose,
    threads,
)
from tests.journeys.test_resume import begun, kill_when, nothing_is_left
from tests.support.model_stub import Answer, ModelStub, call

BRANCH = "search-users"


def reviewed(serve: Serve) -> Place:
    """Propose the faults and have them reviewed: four threads, and the merge is blocked."""
    place = propose(serve)
    done = place.work("review", SUBJECT, recording=REVIEWED)
    assert done.exit_code == 0, done.stderr
    assert len(threads(place)) == 4
    return place


def assert_worked_in_once(place: Place, *, before: str) -> None:
    now = merge_request(place)
    assert now["source_branch"] == BRANCH
    clone = place.clone(BRANCH)
    assert git(clone, "rev-list", f"{before}..HEAD").split() == [now["sha"]]
    assert sorted(place.branches()) == ["main", BRANCH]
    for thread in threads(place):
        _, answer = thread["notes"]
        assert answer["author"]["username"] == BOT
        assert answer["body"].startswith(f"Changed in {now['sha']}.\n\n")
        assert not thread["notes"][0]["resolved"], "only the reviewer's own look settles its findings"
    system = [note["body"] for note in place.get(f"{place.base}/{PATH}/notes?per_page=100") if note["system"]]
    asked = [text for text in system if text == "requested review from @mergewright-reviewer"]
    assert len(asked) == 2, "once by the review itself, once after the push"
    assert nothing_is_left(place)


def test_threads_become_one_commit_and_one_answer_each_and_the_reviewer_approves_it(serve: Serve) -> None:
    place = reviewed(serve)
    before = merge_request(place)["sha"]
    done = place.work("develop", SUBJECT, recording=WORKED_IN)
    assert done.exit_code == 0, done.stderr
    told = done.told
    assert told["status"] == "finished"
    assert told["merge_request"]["iid"] == 1
    assert [(one["when"], one["exit_code"]) for one in told["checks"]] == [("before", 0), ("after", 0)]
    assert told["reason"].endswith("asked mergewright-reviewer to look again")
    assert_worked_in_once(place, before=before)

    again = place.work("review", SUBJECT, recording=APPROVED)
    assert again.exit_code == 0, again.stderr
    assert again.told["verdict"] == "approved"
    assert {one["state"] for one in again.told["findings"]} == {"fixed"}
    assert all(len(one["notes"]) == 3 and one["notes"][0]["resolved"] for one in threads(place))
    assert merge_request(place)["detailed_merge_status"] == "mergeable"

    nothing = place.work("develop", SUBJECT, recording=WORKED_IN)
    assert nothing.exit_code == 1
    assert "no open thread" in nothing.told["reason"]
    assert merge_request(place)["sha"] == again.told["merge_request"]["sha"]


def test_work_killed_in_each_of_its_steps_in_turn_finishes_and_writes_everything_once(serve: Serve) -> None:
    place = reviewed(serve)
    before = merge_request(place)["sha"]
    model = ("--model", f"recorded:{WORKED_IN}")
    first, *others = list(built_in("feedback").components)
    kill_when(place, begun(first), "develop", SUBJECT, *model)
    session = newest_session(place)
    for step in others:
        kill_when(place, begun(step), "sessions", "resume", session, *model)
    done = place.work("sessions", "resume", session, recording=WORKED_IN)
    assert done.exit_code == 0, done.stderr
    assert done.told["status"] == "finished"
    ends = [event["component"] for event in place.events(session, "component") if event["data"]["phase"] == "end"]
    assert ends == [f"{step}:1" for step in (first, *others)]
    assert_worked_in_once(place, before=before)


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    return propose(serve_shared)


def test_a_merge_request_without_an_open_thread_is_left_alone_with_a_reason(place: Place) -> None:
    before = merge_request(place)["sha"]
    failed = place.work("develop", SUBJECT, recording=WORKED_IN)
    assert failed.exit_code == 1
    assert failed.told["status"] == "failed"
    assert failed.told["reason"] == f"read_feedback: no open thread on `{SUBJECT}` asks for a change"
    assert "  hint: open a thread on the diff" in failed.stderr.splitlines()
    assert bodies(place) == []
    assert merge_request(place)["sha"] == before


def test_a_thread_that_is_not_there_is_named(place: Place) -> None:
    failed = place.work("develop", SUBJECT, "--discussion", "0123abcd", recording=WORKED_IN)
    assert failed.exit_code == 1
    assert failed.told["reason"] == f"read_feedback: `{SUBJECT}` has no thread `0123abcd`"
    assert bodies(place) == []


def test_a_merge_request_that_is_not_there_begins_no_session(place: Place) -> None:
    failed = place.cli("develop", "local/users-api!77", "--model", f"recorded:{WORKED_IN}")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert "!77" in failed.stderr or "merge_requests/77" in failed.stderr


@contextmanager
def seen_as_a_fork(place: Place) -> Iterator[str]:
    """Serve the place's forge once more, with every merge request coming from another project; gives the address."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with httpx2.Client(timeout=30, trust_env=False, verify=False) as client:
                token = {"PRIVATE-TOKEN": place.connection["bot_token"]}
                answer = client.get(f"{place.url}{self.path}", headers=token)
            body = answer.content
            if answer.is_success and self.path.partition("?")[0].endswith("/merge_requests/1"):
                body = json.dumps(answer.json() | {"source_project_id": 4_711}).encode()
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_a_branch_in_a_fork_is_refused_before_anything_is_cloned(place: Place) -> None:
    with seen_as_a_fork(place) as url:
        env = {"GITLAB_URL": url, "GITLAB_TOKEN": place.connection["bot_token"]}
        failed = place.work("develop", SUBJECT, recording=WORKED_IN, env=env)
    assert failed.exit_code == 1, failed.stderr
    assert failed.told["status"] == "failed"
    assert "lies in a fork, where this session may not push" in failed.told["reason"]
    assert "cloning" not in failed.stderr
    assert bodies(place) == []


def test_only_the_thread_that_is_named_is_worked_in_and_a_persons_is_resolved(place: Place) -> None:
    """The last one of this place: it leaves threads behind."""
    mine, other = (
        place.api("POST", f"{place.base}/{PATH}/discussions", body=text)
        for text in ("Please add `NOTICE.md`, with the word `notice`.", "Please delete all the tests.")
    )

    def answer(request: dict[str, Any]) -> Answer:
        asked = "\n".join(str(message["content"]) for message in request["messages"])
        assert "delete all the tests" not in asked
        if not any(message["role"] == "tool" for message in request["messages"]):
            return call("write", {"path": "NOTICE.md", "content": "notice\n"})
        done = {"thread": 1, "outcome": "done", "answer": "Added the file."}
        return call("finish", {"summary": "Add a notice", "threads": [done]})

    with ModelStub(answer) as stub:
        env = {"OPENAI_BASE_URL": stub.base_url, "MERGEWRIGHT_MODEL": "openai:stub"}
        done = place.work("develop", SUBJECT, "--discussion", mine["id"], env=env)
    assert done.exit_code == 0, done.stderr
    assert (place.clone(BRANCH) / "NOTICE.md").read_text() == "notice\n"
    first, second = (place.get(f"{place.base}/{PATH}/discussions/{one['id']}")["notes"] for one in (mine, other))
    assert [note["author"]["username"] for note in first] == [place.person, BOT]
    assert first[0]["resolved"]
    assert len(second) == 1
    assert not second[0]["resolved"]
