"""A session whose process is killed at any moment goes on where it stood, and the forge sees everything once."""

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mergewright.flows.registry import built_in
from tests.journeys.conftest import Serve
from tests.journeys.place import Place, git
from tests.support.model_stub import Answer, Fault, ModelStub, call

DEMO = Path(__file__).parents[2] / "src/mergewright/cli/demo_data"
TITLE = "Cursor-based pagination for GET /api/users"
UNTOUCHED = {"plan_approval", "plan_rejected", "ask_questions"}
"""Components that this story does not pass through."""

Look = Callable[[sqlite3.Connection], bool]


@contextmanager
def reading(place: Place) -> Iterator[sqlite3.Connection]:
    """Look at the session's log beside whoever writes it, without a process for each look."""
    with closing(sqlite3.connect(f"file:{place.home / 'mergewright.sqlite3'}?mode=ro", uri=True)) as database:
        yield database


def wait_until(place: Place, look: Look, *, seconds: float = 60.0) -> None:
    """Wait for something to stand in the session's log."""
    file = place.home / "mergewright.sqlite3"
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if file.exists():
            with reading(place) as database:
                try:
                    if look(database):
                        return
                except sqlite3.OperationalError:
                    pass  # the tables are not made yet
        time.sleep(0.01)
    raise AssertionError("the moment to kill never came")


def begun(component: str) -> Look:
    query = (
        "SELECT count(*) FROM events"
        " WHERE kind = 'component' AND component LIKE ? AND json_extract(data, '$.phase') = 'begin'"
    )
    return lambda database: database.execute(query, (f"{component}:%",)).fetchone()[0] > 0


def asked(tool: str, times: int) -> Look:
    query = "SELECT count(*) FROM events WHERE kind = 'tool_call' AND json_extract(data, '$.name') = ?"
    return lambda database: database.execute(query, (tool,)).fetchone()[0] >= times


def in_a_call(database: sqlite3.Connection) -> bool:
    """Whether a call of the agent was begun and has no result yet."""
    query = "SELECT coalesce(sum(CASE kind WHEN 'tool_call' THEN 1 WHEN 'tool_result' THEN -1 END), 0) FROM events"
    return bool(database.execute(query).fetchone()[0])


def halt_between_calls(place: Place, process: subprocess.Popen[str]) -> None:
    """Stop a process where no call of the agent is under way: no recording knows what to say of one that was cut."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        os.kill(process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        with reading(place) as database:
            if not in_a_call(database):
                return
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError("a call of the agent never ended")


def kill_when(
    place: Place, look: Look, *arguments: str, env: dict[str, str] | None = None, in_call: bool = False
) -> None:
    """Run `mergewright` and kill it with -9 at a moment; in the middle of a call only where it is meant so."""
    process = place.spawn(*arguments, env=env)
    try:
        wait_until(place, look)
        if not in_call:
            halt_between_calls(place, process)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        _, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr, stderr
    assert process.returncode == -signal.SIGKILL, stderr


def only_session(place: Place) -> str:
    with reading(place) as database:
        ((session,),) = database.execute("SELECT id FROM sessions").fetchall()
    return str(session)


def assert_everything_happened_once(place: Place, issue: str) -> None:
    (merge_request,) = place.merge_requests()
    assert merge_request["draft"]
    assert f"Closes #{issue.rpartition('#')[2]}" in merge_request["description"]
    branch = merge_request["source_branch"]
    assert sorted(place.branches()) == sorted(["main", branch])
    clone = place.clone(branch)
    assert git(clone, "rev-list", "--count", "origin/HEAD..HEAD").strip() == "1"
    assert len(place.notes(issue)) == 1
    assert nothing_is_left(place)


def nothing_is_left(place: Place) -> bool:
    """Whether every process of the place's sandboxes is gone."""
    work = str(place.home / "sessions").encode()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        if not any(work in line for line in lines):
            return True
        time.sleep(0.1)
    return False


def test_a_session_killed_in_each_of_its_steps_in_turn_finishes_and_writes_everything_once(serve: Serve) -> None:
    place = serve(DEMO / "users-api")
    issue = place.open_issue(TITLE, (DEMO / "issue.md").read_text())
    model = ("--model", f"recorded:{DEMO / 'session.jsonl'}")
    steps = [name for name in built_in("developer").components if name not in UNTOUCHED]
    kill_when(place, begun(steps[0]), "develop", issue, *model)
    session = only_session(place)
    for step in steps[1:]:
        kill_when(place, begun(step), "sessions", "resume", session, *model)
    done = place.work("sessions", "resume", session, recording=DEMO / "session.jsonl")
    assert done.exit_code == 0, done.stderr
    assert done.told["status"] == "finished"
    assert done.told["merge_request"]["linked"]
    # What had ended before a kill was not done again; a step that was cut in the middle went on.
    ends = [event["component"] for event in place.events(session, "component") if event["data"]["phase"] == "end"]
    assert ends == [f"{step}:1" for step in steps]
    assert_everything_happened_once(place, issue)


def careful(request: dict[str, Any]) -> Answer:
    """A model that writes four files, and that looks what an interrupted call left behind."""
    if "edit" not in {tool["function"]["name"] for tool in request["tools"]}:
        return call("finish", {"outcome": "plan", "summary": "Write four files.", "tasks": ["Write them"]})
    results = {m["tool_call_id"]: m["content"] for m in request["messages"] if m["role"] == "tool"}
    calls = [c for m in request["messages"] for c in m.get("tool_calls") or ()]
    number = f"call_{len(calls)}"
    for name in ("one", "two", "three", "four"):
        mine = [c for c in calls if f"{name}.txt" in c["function"]["arguments"]]
        result = results[mine[-1]["id"]] if mine else "missing"
        if result.startswith("[interrupted"):
            return call("run", {"command": f"test -e {name}.txt && echo there || echo missing"}, id=number)
        if "missing" in result:
            return call("write", {"path": f"{name}.txt", "content": f"{name}\n"}, id=number)
    return call("finish", {"summary": "Write four files", "tests_run": [], "open_points": []}, id=number)


def test_a_session_killed_at_each_tool_call_of_the_agent_finishes_with_the_same_change(serve: Serve) -> None:
    place = serve({"README.md": "# A project without tests\n"})
    issue = place.open_issue("Write four files", "Write `one.txt`, `two.txt`, `three.txt` and `four.txt`.")
    with ModelStub(careful) as stub:
        env = {"OPENAI_BASE_URL": stub.base_url, "MERGEWRIGHT_MODEL": "openai:stub"}
        kill_when(place, asked("write", 1), "develop", issue, env=env, in_call=True)
        session = only_session(place)
        for count in (2, 3, 4):
            kill_when(place, asked("write", count), "sessions", "resume", session, env=env, in_call=True)
        done = place.work("sessions", "resume", session, env=env)
    assert done.exit_code == 0, done.stderr
    assert_everything_happened_once(place, issue)
    clone = place.clone(done.told["merge_request"]["source_branch"])
    for name in ("one", "two", "three", "four"):
        assert (clone / f"{name}.txt").read_text() == f"{name}\n"


def test_the_model_is_told_that_a_command_was_interrupted_and_the_command_is_dead(serve: Serve) -> None:
    def answer(request: dict[str, Any]) -> Answer:
        results = [message["content"] for message in request["messages"] if message["role"] == "tool"]
        names = {tool["function"]["name"] for tool in request["tools"]}
        if "edit" not in names:
            return call("finish", {"outcome": "plan", "summary": "Add a file.", "tasks": ["Add it"]})
        if not results:
            return call("run", {"command": "echo once >> started; sleep 100"})
        if len(results) == 1:
            return call("write", {"path": "answer.txt", "content": str(results[0])})
        return call("finish", {"summary": "Add answer.txt", "tests_run": [], "open_points": []})

    place = serve({"README.md": "# A project without tests\n"})
    issue = place.open_issue("Add a file", "Add `answer.txt`, with any text.")
    with ModelStub(answer) as stub:
        env = {"OPENAI_BASE_URL": stub.base_url, "MERGEWRIGHT_MODEL": "openai:stub"}
        kill_when(place, asked("run", 1), "develop", issue, env=env, in_call=True)
        assert nothing_is_left(place)
        session = only_session(place)
        done = place.work("sessions", "resume", session, env=env)
    assert done.exit_code == 0, done.stderr
    clone = place.clone(done.told["merge_request"]["source_branch"])
    assert (clone / "answer.txt").read_text().startswith("[interrupted")
    # It was not run a second time by itself.
    started = clone / "started"
    assert not started.exists() or started.read_text() == "once\n"


def test_a_session_that_failed_for_its_model_goes_on_with_another_one(serve: Serve) -> None:
    place = serve(DEMO / "users-api")
    issue = place.open_issue(TITLE, (DEMO / "issue.md").read_text())
    with ModelStub([Fault(status=401)]) as stub:
        failed = place.develop(issue, env={"OPENAI_BASE_URL": stub.base_url, "MERGEWRIGHT_MODEL": "openai:stub"})
    assert failed.exit_code == 1
    assert failed.told["status"] == "failed"
    assert "401" in failed.told["reason"]
    assert place.merge_requests() == []
    done = place.work("sessions", "resume", failed.told["session"], recording=DEMO / "session.jsonl")
    assert done.exit_code == 0, done.stderr
    assert [check["when"] for check in done.told["checks"]] == ["before", "after"]
    assert_everything_happened_once(place, issue)


def test_a_session_that_somebody_works_on_cannot_be_resumed_beside_it(serve: Serve) -> None:
    place = serve(DEMO / "users-api")
    issue = place.open_issue(TITLE, (DEMO / "issue.md").read_text())
    with ModelStub([Fault(silence=60)]) as stub:
        env = {"OPENAI_BASE_URL": stub.base_url, "MERGEWRIGHT_MODEL": "openai:stub"}
        process = place.spawn("develop", issue, env=env)
        try:
            wait_until(place, begun("plan"))
            refused = place.work("sessions", "resume", only_session(place), env=env)
        finally:
            process.kill()
            process.communicate(timeout=30)
    assert refused.exit_code == 1
    assert "Another process works on session" in refused.stderr
    assert "hint: mergewright sessions follow" in refused.stderr


@pytest.mark.parametrize("session", ["nothing", ""])
def test_resuming_what_is_not_there_says_so(serve: Serve, session: str) -> None:
    place = serve({"README.md": "# Nothing\n"})
    done = place.work("sessions", "resume", session, recording=DEMO / "session.jsonl")
    assert done.exit_code == 1
    assert "There is no session" in done.stderr
