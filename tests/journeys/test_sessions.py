"""Looking at sessions, and ending one that hangs."""

import time
from pathlib import Path

import pytest

from tests.journeys.conftest import Serve
from tests.journeys.place import Place

MARK = "86397"
"""The recorded command starts `sleep 86397` in the background before it hangs."""


def sleepers() -> list[int]:
    """The processes that hold the mark in their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if MARK.encode() in line:
                found.append(int(folder.name))
    return found


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    return serve_shared("greet")


@pytest.fixture(scope="module")
def finished(place: Place) -> str:
    issue = place.open_issue("It is slow", "Please fix.\n")
    return str(place.develop(issue, recording="vague").told["session"])


def test_a_list_shows_each_session_with_its_status_and_reason(place: Place, finished: str) -> None:
    first, second = place.cli("sessions", "list", check=True).stdout.splitlines()
    assert first.split()[0] == finished
    assert first.split()[3:] == ["finished", "developer", "local/greet#1"]
    assert second == "    the issue is too vague to act on: asked 2 questions on it"
    assert place.cli("sessions", "list", "--active", check=True).stdout == ""


def test_a_session_is_shown_with_what_it_did(place: Place, finished: str) -> None:
    shown = place.cli("sessions", "show", finished[:10], check=True).stdout.splitlines()
    assert shown[0].startswith(f"{finished}  developer  local/greet#1  recorded:")
    assert shown[1] == "finished: the issue is too vague to act on: asked 2 questions on it"
    for line in ("— read issue", "— ask questions", "  read · greet.sh · lines 1-3 of 3"):
        assert line in shown
    assert any(line.startswith("  check (before): make test · passed · 2 passed") for line in shown)
    assert place.session(finished)["subject"] == "local/greet#1"


def test_the_whole_log_is_one_json_object_a_line(place: Place, finished: str) -> None:
    events = place.events(finished)
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    assert {"status", "component", "tool_call", "tool_result", "check", "forge", "usage"} <= {
        event["kind"] for event in events
    }


def test_following_a_session_that_is_over_tells_it_and_comes_back(place: Place, finished: str) -> None:
    followed = place.cli("sessions", "follow", finished)
    assert followed.returncode == 0
    assert followed.stderr.splitlines()[-1].startswith("finished: the issue is too vague")


@pytest.mark.parametrize("verb", ["show", "follow", "cancel", "resume"])
def test_a_session_that_does_not_exist_is_said(place: Place, verb: str) -> None:
    unknown = place.cli("sessions", verb, "nosuch")
    assert unknown.returncode == 1
    assert unknown.stderr == "error: There is no session `nosuch`\nhint: mergewright sessions list\n"


def test_cancelled_from_elsewhere_a_hanging_command_dies_with_all_its_processes(place: Place) -> None:
    issue = place.open_issue("Find out why the tests hang", "They do, now and then.\n")
    running = place.beside("develop", issue, recording="hanging")
    running.wait_for(f"  $ sleep {MARK} & while make test")
    deadline = time.monotonic() + 20
    while not sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sleepers()
    session = running.told[0].split()[1]
    follower = place.beside("sessions", "follow", session, as_json=False)
    follower.wait_for(f"  $ sleep {MARK}")

    began = time.monotonic()
    cancelled = place.cli("sessions", "cancel", session, "--reason", "it hangs", check=True)
    assert cancelled.stdout == f"{session} stopped: it hangs\n"
    code, told = running.end(seconds=20)
    assert time.monotonic() - began < 15
    assert code == 1, running.told
    assert (told["status"], told["reason"]) == ("stopped", "it hangs")
    assert sleepers() == []
    assert follower.end(seconds=20)[0] == 1
    assert follower.told[-1] == "stopped: it hangs"
    assert place.notes(issue) == []

    again = place.cli("sessions", "cancel", session)
    assert again.returncode == 1
    assert again.stderr.startswith(f"error: Session `{session}` has ended: it hangs\n")
