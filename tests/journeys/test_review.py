"""A merge request is reviewed from the command line: the verdict, the fix, the approval, and what gets in the way."""

from collections.abc import Callable

import pytest

from tests.journeys.conftest import Serve
from tests.journeys.place import Place, git
from tests.journeys.proposed import (
    DEMO,
    REVIEWED,
    SUBJECT,
    bodies,
    drafts,
    merge_request,
    newest_session,
    propose,
    push,
    summaries,
    threads,
)
from tests.journeys.test_resume import Look, kill_when
from tests.support.model_stub import Answer, Fault, ModelStub, call

FIXED = {
    "src/api/users.py": (DEMO / "users-search/src/api/users.py").read_text().replace("ApiErorr", "ApiError"),
    "src/models/user.py": (DEMO / "users-search/src/models/user.py")
    .read_text()
    .replace(
        """        query = f"SELECT id, name, email FROM users WHERE name LIKE '%{name}%' ORDER BY id"\n""",
        '        query = "SELECT id, name, email FROM users WHERE instr(name, ?) ORDER BY id"\n',
    )
    .replace("execute(query)", "execute(query, (name,))"),
}


def assert_reviewed_once(place: Place, *, count: int) -> None:
    assert len(summaries(place)) == 1
    found = threads(place)
    assert len(found) == count
    assert all(len(one["notes"]) == 1 for one in found)
    assert drafts(place) == []


def test_faults_are_found_without_a_model_and_what_is_mended_is_approved(serve: Serve) -> None:
    place = propose(serve)
    done = place.work("review", SUBJECT, "--model", "none")
    assert done.exit_code == 0, done.stderr
    told = done.told
    assert (told["status"], told["verdict"], told["round"]) == ("finished", "requested_changes", 1)
    assert told["reviewer_status"] == "changes_requested"
    found = {(one["path"], one["line"], one["rule"], one["state"]) for one in told["findings"]}
    assert found == {("src/api/users.py", 14, "F821", "open"), ("src/models/user.py", 34, "B608", "open")}
    assert told["merge_request"]["sha"] == merge_request(place)["sha"]
    assert {one["id"] for one in threads(place)} == {one["discussion"] for one in told["findings"]}
    assert merge_request(place)["detailed_merge_status"] == "requested_changes"
    assert_reviewed_once(place, count=2)

    # A person reads the same without --json, and a CI job gets the exit code that it asks for.
    strict = place.cli("review", SUBJECT, "--model", "none", "--strict")
    assert strict.returncode == 1
    lines = strict.stdout.splitlines()
    assert lines[0].startswith("session ")
    assert lines[0].endswith("finished: Changes requested: 2 findings must be dealt with")
    assert [line.split()[:3] for line in lines if line.startswith("open ")] == [
        ["open", "critical", "src/api/users.py:14"],
        ["open", "critical", "src/models/user.py:34"],
    ]
    assert any(line.startswith("gate ") for line in lines)
    assert len(threads(place)) == 2

    head = push(place, FIXED)
    done = place.work("review", SUBJECT, "--model", "none", "--strict")
    assert done.exit_code == 0, done.stderr
    assert (done.told["verdict"], done.told["round"]) == ("approved", 3)
    assert {one["state"] for one in done.told["findings"]} == {"fixed"}
    assert done.told["merge_request"]["sha"] == head
    assert all(one["notes"][0]["resolved"] for one in threads(place))
    assert merge_request(place)["detailed_merge_status"] == "mergeable"
    headlines = [text.partition("\n")[0] for text in summaries(place)]
    assert headlines == ["## Changes requested", "## Changes requested", "## Approved"]


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    """A merge request on which nothing is ever said, and one that is closed."""
    place = propose(serve_shared)
    place.open_issue("An issue", "About nothing.\n")
    clone = place.clone("main")
    git(clone, "commit", "-q", "--allow-empty", "-m", "Nothing")
    git(clone, "push", "-q", "origin", "HEAD:nothing")
    place.api("POST", f"{place.base}/merge_requests", source_branch="nothing", target_branch="main", title="Closed")
    place.api("PUT", f"{place.base}/merge_requests/2", state_event="close")
    return place


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ((SUBJECT,), "no model is set", "`--model none` to use analyzers alone"),
        (("local/users-api#1", "--model", "none"), "`local/users-api#1` is an issue", "name a merge request"),
        (("local/users-api", "--model", "none"), "`local/users-api` names no issue", "group/project"),
        ((SUBJECT, "--model", "clever"), "`clever` names no model", "use `openai:MODEL`"),
        ((SUBJECT, "--model", "recorded:/nowhere"), "Cannot read the recording `/nowhere`", "record one with"),
    ],
)
def test_what_cannot_be_reviewed_is_refused_with_a_way_out(
    place: Place, arguments: tuple[str, ...], error: str, hint: str
) -> None:
    refused = place.cli("review", *arguments)
    assert refused.returncode == 2, refused.stderr
    assert refused.stdout == ""
    told = refused.stderr.splitlines()
    assert len(told) == 2
    assert told[0].startswith(f"error: {error}")
    assert told[1].startswith("hint: ")
    assert hint in told[1]
    assert bodies(place) == []


@pytest.mark.parametrize(
    ("subject", "reason"), [("local/users-api!2", "`local/users-api!2` is closed"), ("local/users-api!9", "!9")]
)
def test_a_merge_request_that_is_closed_or_not_there_fails_with_a_reason_and_no_note(
    place: Place, subject: str, reason: str
) -> None:
    failed = place.work("review", subject, "--model", "none")
    assert failed.exit_code == 1
    assert failed.told["status"] == "failed"
    assert reason in failed.told["reason"]
    notes = place.get(f"{place.base}/merge_requests/2/notes")
    assert [note for note in notes if not note["system"]] == []
    assert bodies(place) == []


def said(start: str, *, times: int = 1) -> Look:
    """Whether the review has told a line that starts so, so many times."""
    query = (
        "SELECT count(*) FROM events WHERE kind IN ('progress', 'forge') AND"
        " coalesce(json_extract(data, '$.text'), json_extract(data, '$.action')) LIKE ?"
    )
    return lambda database: database.execute(query, (f"{start}%",)).fetchone()[0] >= times


def test_a_review_killed_after_each_line_of_progress_goes_on_and_says_everything_once(serve: Serve) -> None:
    place = propose(serve)
    model = ("--model", f"recorded:{REVIEWED}")
    kill_when(place, said("reviewing"), "review", SUBJECT, *model)
    session = newest_session(place)
    for moment in ("proved", "verdict", "published"):
        told = [str(event["data"].get("text") or event["data"].get("action")) for event in place.events(session)]
        times = 1 + sum(one.startswith(moment) for one in told)
        kill_when(place, said(moment, times=times), "sessions", "resume", session, *model)
    done = place.work("sessions", "resume", session, recording=REVIEWED)
    assert done.exit_code == 0, done.stderr
    assert (done.told["verdict"], done.told["round"]) == ("requested_changes", 1)
    assert {one["state"] for one in done.told["findings"]} == {"open"}
    assert {one["discussion"] for one in done.told["findings"]} == {one["id"] for one in threads(place)}
    assert_reviewed_once(place, count=4)
    assert merge_request(place)["detailed_merge_status"] == "requested_changes"
    again = place.cli("sessions", "resume", session)
    assert again.returncode == 1
    assert "has finished" in again.stderr


def test_a_review_killed_at_each_of_its_writes_says_everything_once(serve: Serve) -> None:
    """The moments are told by the forge itself: a draft, and another one."""
    place = propose(serve)
    model = ("--model", "none")
    kill_at_draft(place, 1, "review", SUBJECT, *model)
    session = newest_session(place)
    kill_at_draft(place, 2, "sessions", "resume", session, *model)
    done = place.work("sessions", "resume", session)
    assert done.exit_code == 0, done.stderr
    assert_reviewed_once(place, count=2)


def kill_at_draft(place: Place, count: int, *arguments: str) -> None:
    """Kill a command with -9 once so many drafts stand on the merge request, or all is published."""
    process = place.spawn(*arguments)
    try:
        while process.poll() is None and len(drafts(place)) < count and not summaries(place):
            pass
    finally:
        process.kill()
        _, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr, stderr


def test_a_model_that_is_down_fails_the_review_and_the_merge_request_is_told_once(serve: Serve) -> None:
    place = propose(serve)
    env = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "key", "MERGEWRIGHT_SILENCE": "2"}
    failed = place.work("review", SUBJECT, "--model", "openai:x", env=env)
    assert failed.exit_code == 1, failed.stderr
    assert failed.told["status"] == "failed"
    assert failed.told["reviewer_status"] == "failed"
    assert failed.told["error_code"] == "MRW5001"
    (note,) = bodies(place, "Review failed")
    assert note.startswith("## Review failed (MRW5001)")
    assert summaries(place) == []
    assert merge_request(place)["detailed_merge_status"] == "mergeable"
    session = failed.told["session"]
    assert f"hint: mergewright sessions resume {session}" in failed.stderr

    done = place.work("sessions", "resume", session, recording=REVIEWED)
    assert done.exit_code == 0, done.stderr
    assert done.told["verdict"] == "requested_changes"
    assert done.told["error_code"] == ""
    assert_reviewed_once(place, count=4)


def test_of_two_reviews_at_once_one_is_refused_in_a_sentence(place: Place) -> None:
    with ModelStub([Fault(silence=60)] * 20) as stub:
        env = {"OPENAI_BASE_URL": stub.base_url, "MERGEWRIGHT_MODEL": "openai:stub"}
        first = place.beside("review", SUBJECT, env=env)
        try:
            first.wait_for("  reviewing")
            second = place.work("review", SUBJECT, "--model", "none")
        finally:
            first.process.kill()
            first.end()
    assert second.exit_code == 1
    assert second.stderr.splitlines()[0] == f"error: A `code_review` session already works on `{SUBJECT}`"
    assert second.stderr.splitlines()[1].startswith("hint: ")
    assert bodies(place) == []
    # The killed one stands in nobody's way once a person has ended it.
    place.cli("sessions", "cancel", newest_session(place), check=True)
    done = place.work("review", SUBJECT, "--model", "none")
    assert done.exit_code == 0, done.stderr
    assert_reviewed_once(place, count=2)


def test_two_reviews_started_together_say_everything_once(serve: Serve) -> None:
    place = propose(serve)
    both = [place.beside("review", SUBJECT, "--model", "none") for _ in range(2)]
    assert sorted(one.end()[0] for one in both) == [0, 1]
    assert_reviewed_once(place, count=2)


def test_a_forge_that_goes_away_fails_the_review_and_resume_finishes_it(serve: Serve) -> None:
    place = propose(serve, whole=True)

    def answer(request: dict[str, object]) -> Answer:
        place.kill()
        return call("finish", {"findings": []})

    with ModelStub(once(answer)) as stub:
        env = {
            "OPENAI_BASE_URL": stub.base_url,
            "MERGEWRIGHT_MODEL": "openai:stub",
            "MERGEWRIGHT_FORGE_PATIENCE": "1",
        }
        failed = place.work("review", SUBJECT, env=env)
        assert failed.exit_code == 1, failed.stderr
        assert failed.told["status"] == "failed"
        assert failed.told["error_code"] == "MRW5006"
        assert f"The connection to the forge at `{place.url}` cannot be made" in failed.told["reason"]
        place.start()
        done = place.work("sessions", "resume", failed.told["session"], env=env)
    assert done.exit_code == 0, done.stderr
    assert done.told["verdict"] == "requested_changes", "analyzers see what this model does not"
    assert bodies(place, "Review failed") == []
    assert_reviewed_once(place, count=2)


def once(first: Callable[[dict[str, object]], Answer]) -> Callable[[dict[str, object]], Answer]:
    """Answer the first request so, and find nothing in all others."""
    asked: list[object] = []

    def answer(request: dict[str, object]) -> Answer:
        asked.append(request)
        return first(request) if len(asked) == 1 else call("finish", {"findings": []})

    return answer
