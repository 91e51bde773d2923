"""What people do on the forge makes sessions; workers that come and go lose none of them and do none of them twice."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.journeys.conftest import Serve
from tests.journeys.place import BOT, COMMAND, Place, recorded
from tests.journeys.test_resume import (
    assert_everything_happened_once,
    begun,
    careful,
    halt_between_calls,
    reading,
    wait_until,
)
from tests.journeys.test_rights import GUEST, join, token_for
from tests.support.model_stub import ModelStub

MODEL = ("--model", f"recorded:{recorded('greet-shout')}")
BUBBLEWRAP = "/usr/bin/bwrap"
TITLE = "Add an option `--shout`"
JSON = Any


def until(true: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := true():
            return found
        time.sleep(0.2)
    raise AssertionError("it never came to be")


def sessions(place: Place) -> list[dict[str, JSON]]:
    listed: list[dict[str, JSON]] = json.loads(place.cli("sessions", "list", "--json", check=True).stdout)
    return listed


def statuses(place: Place) -> list[str]:
    """Where the sessions stand."""
    with reading(place) as database:
        return [status for (status,) in database.execute("SELECT status FROM sessions")]


def finished(place: Place) -> list[dict[str, JSON]]:
    found = set(statuses(place))
    assert "failed" not in found, sessions(place)
    return sessions(place) if found == {"finished"} else []


def edit(place: Place, issue: str, *, token: str = "", **body: JSON) -> None:
    place.api("PUT", f"{place.base}/issues/{issue.rpartition('#')[2]}", token=token, **body)


def user(place: Place, name: str) -> int:
    (found,) = place.get(f"users?username={name}")
    return int(found["id"])


@contextmanager
def worker(place: Place, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A worker beside the server, until the body has ended."""
    process = place.spawn("worker", *(arguments or MODEL), "--json")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert json.loads(line)["developer"] == BOT
        yield process
    finally:
        process.kill()
        _, stderr = process.communicate(timeout=30)
        assert "Traceback" not in stderr, stderr


def served(serve: Serve, *arguments: str, env: Mapping[str, str] | None = None) -> Place:
    place = serve("greet", start=False, whole=True)
    place.serve_with = arguments
    place.env |= env or {}
    place.start()
    return place


def test_a_label_makes_an_issue_into_one_merge_request_and_later_edits_make_no_other(serve: Serve) -> None:
    place = served(serve, *MODEL)
    issue = place.open_issue(TITLE, "In capitals.\n")
    edit(place, issue, labels="mergewright")
    (session,) = until(lambda: finished(place))
    assert (session["flow"], session["subject"], session["actor"]) == ("developer", issue, place.person)
    edit(place, issue, description="In CAPITALS.\n")
    edit(place, issue, add_labels="other")
    time.sleep(3)
    assert len(sessions(place)) == 1
    assert_everything_happened_once(place, issue)


def test_a_mention_of_the_developer_is_its_goal_and_one_in_code_is_none(serve: Serve) -> None:
    place = served(serve, "--no-worker")
    issue = place.open_issue(TITLE, "In capitals.\n")
    notes = f"{place.base}/issues/1/notes"
    for silent in (f"`@{BOT} go`", f"> @{BOT} go", f"```\n@{BOT} go\n```"):
        place.api("POST", notes, body=silent)
    place.api("POST", notes, body=f"@{BOT} please do this in capitals")
    with worker(place):
        until(lambda: statuses(place))
    (session,) = sessions(place)
    assert (session["subject"], session["goal"]) == (issue, "please do this in capitals")


def test_whoever_may_not_ask_is_told_so_once(serve: Serve) -> None:
    place = served(serve, *MODEL)
    issue = place.open_issue(TITLE, "In capitals.\n")
    token = token_for(place, "gus", "api")
    join(place, "gus", GUEST)
    for text in ("go", "go now"):
        place.api("POST", f"{place.base}/issues/1/notes", token=token, body=f"@{BOT} {text}")
    told = until(lambda: [one for one in place.notes(issue) if one["author"]["username"] == BOT])
    time.sleep(3)
    assert len(told) == 1
    assert "takes the role Developer or more; gus has Guest" in told[0]["body"]
    assert len([one for one in place.notes(issue) if one["author"]["username"] == BOT]) == 1
    assert sessions(place) == []


def test_a_server_without_a_model_says_so_on_the_issue(serve: Serve) -> None:
    place = served(serve)
    issue = place.open_issue(TITLE)
    edit(place, issue, assignee_ids=[user(place, BOT)])
    (note,) = until(lambda: place.notes(issue))
    assert "no model is set up here" in note["body"]


def test_a_server_that_is_ended_in_the_middle_leaves_its_session_to_the_next(serve: Serve) -> None:
    # What is cut may be a call of the agent, of which no recording knows what to say.
    with ModelStub(careful) as stub:
        place = served(serve, "--model", "openai:stub", env={"OPENAI_BASE_URL": stub.base_url})
        issue = place.open_issue("Write four files", "Named by number.\n")
        edit(place, issue, assignee_ids=[user(place, BOT)])
        wait_until(place, begun("implement"))
        place._end(signal.SIGTERM)  # as an init system ends it
        (session,) = sessions(place)
        assert session["status"] == "running"
        place.start()
        (session,) = until(lambda: finished(place))
    assert_everything_happened_once(place, issue)


def test_what_a_killed_worker_leaves_another_takes_up_at_once_and_nothing_is_done_twice(serve: Serve) -> None:
    place = served(serve, "--no-worker")
    issue = place.open_issue(TITLE, "In capitals.\n")
    with worker(place) as first:
        edit(place, issue, labels="mergewright")
        wait_until(place, begun("implement"))
        halt_between_calls(place, first)
        os.kill(first.pid, signal.SIGKILL)
        first.wait(10)
        with worker(place), worker(place):
            (session,) = until(lambda: finished(place), seconds=60)
    begins = [one for one in place.events(session["id"], "component") if one["data"]["phase"] == "end"]
    assert len({one["component"] for one in begins}) == len(begins)
    assert_everything_happened_once(place, issue)


def test_a_worker_that_can_start_no_sandbox_takes_nothing_and_says_why(serve: Serve) -> None:
    place = served(serve, "--no-worker")
    issue = place.open_issue(TITLE, "In capitals.\n")
    edit(place, issue, labels="mergewright")
    # A machine that has all of this one but bubblewrap.
    machine = [BUBBLEWRAP, "--dev-bind", "/", "/", "--ro-bind", "/dev/null", BUBBLEWRAP]
    refused = subprocess.run(
        [*machine, COMMAND, "worker", *MODEL], env=place.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.startswith("error: this machine has no bubblewrap")
    assert "\nhint: " in refused.stderr
    with worker(place):
        until(lambda: statuses(place))
    (session,) = sessions(place)
    assert session["status"] != "failed"


def propose(place: Place, branch: str, *, token: str, script: str) -> int:
    """Open a merge request whose pipeline runs a script; gives its number."""
    text = f"test:\n  script:\n    - {json.dumps(script)}\n"
    action = {"action": "create", "file_path": ".gitlab-ci.yml", "content": text}
    commits = f"{place.base}/repository/commits"
    place.api("POST", commits, token=token, branch=branch, start_branch="main", commit_message="x", actions=[action])
    asked = {"source_branch": branch, "target_branch": "main", "title": f"Draft: {branch}"}
    return int(place.api("POST", f"{place.base}/merge_requests", token=token, **asked)["iid"])


def pipelines(place: Place) -> list[dict[str, JSON]]:
    found: list[dict[str, JSON]] = place.get(f"{place.base}/pipelines?per_page=100")
    return found


def test_a_failed_pipeline_of_the_developers_own_merge_request_is_worked_on_and_no_persons(serve: Serve) -> None:
    place = served(serve, "--no-worker")
    bot = place.connection["bot_token"]
    theirs = propose(place, "theirs", token=place.token, script="false")
    ours = propose(place, "ours", token=bot, script="false")
    until(lambda: len(pipelines(place)) >= 2 and all(one["status"] == "failed" for one in pipelines(place)))
    with worker(place):
        until(lambda: "failed" in statuses(place))
        (session,) = sessions(place)
        assert theirs != ours
        assert (session["flow"], session["subject"]) == ("feedback", f"{place.project}!{ours}")
        assert session["goal"].startswith("Mend pipeline ")
        time.sleep(4)
        assert [one["id"] for one in sessions(place)] == [session["id"]]
