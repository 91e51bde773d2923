"""A person looks at the plan before anything is written."""

import pytest

from tests.journeys.conftest import Serve
from tests.journeys.place import Developed, Place

TITLE = "Add an option `--shout`"
TEXT = "`sh greet.sh --shout Ada` shall print `HELLO, ADA!`. Without a name it shouts at the world.\n"


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    return serve_shared("greet")


@pytest.fixture(scope="module")
def issue(place: Place) -> str:
    return place.open_issue(TITLE, TEXT)


@pytest.fixture(scope="module")
def waiting(place: Place, issue: str) -> Developed:
    return place.develop(issue, "--approve-plan", recording="replanned")


def test_it_waits_with_the_plan_and_writes_nothing(place: Place, issue: str, waiting: Developed) -> None:
    assert waiting.exit_code == 3, waiting.stderr
    assert waiting.told["status"] == "plan_approval_required"
    assert [task["text"] for task in waiting.told["plan"]] == [
        "Add cases for `--shout` with and without a name to tests/greet_test.sh",
        "Take `--shout` in greet.sh and print the greeting in capitals",
        "Name `--shout` in README.md",
    ]
    assert f"hint: mergewright sessions approve {waiting.told['session']}" in waiting.stderr
    assert place.branches() == ["main"]
    assert place.merge_requests() == []
    assert place.notes(issue) == []


def test_while_it_waits_another_session_on_the_issue_is_refused(place: Place, issue: str, waiting: Developed) -> None:
    second = place.develop(issue, recording="replanned")
    assert second.exit_code == 1
    assert f"hint: mergewright sessions show {waiting.told['session']}" in second.stderr
    resumed = place.cli("sessions", "resume", waiting.told["session"])
    assert resumed.returncode == 1
    assert "waits for a person" in resumed.stderr


def test_sent_back_with_a_reason_it_plans_anew_and_with_a_yes_it_goes_on_to_the_end(
    place: Place, issue: str, waiting: Developed
) -> None:
    session = waiting.told["session"]
    reason = "Call the option --loud, please"
    again = place.work("sessions", "reject", session, "--reason", reason, recording="replanned")
    assert again.exit_code == 3, again.stderr
    assert again.told["plan"][1]["text"] == "Take `--loud` in greet.sh and print the greeting in capitals"
    assert place.branches() == ["main"]
    (answer,) = place.events(session, "approval")
    assert answer["data"] == {"approval": "reject", "by": place.person, "reason": reason}

    done = place.work("sessions", "approve", session)
    assert done.exit_code == 0, done.stderr
    assert done.told["status"] == "finished"
    assert "--loud" in (place.clone(done.told["merge_request"]["source_branch"]) / "greet.sh").read_text()
    assert len(place.merge_requests()) == 1
    (note,) = place.notes(issue)
    assert "There is no pipeline for it." in note["body"]

    late = place.cli("sessions", "approve", session)
    assert late.returncode == 1
    assert "does not wait for an approval: it is finished" in late.stderr


def test_approved_at_once_it_goes_on_to_the_end(place: Place) -> None:
    issue = place.open_issue(TITLE, TEXT)
    waiting = place.develop(issue, "--approve-plan", recording="greet-shout")
    assert waiting.exit_code == 3, waiting.stderr
    done = place.work("sessions", "approve", waiting.told["session"])
    assert done.exit_code == 0, done.stderr
    assert done.told["merge_request"]["linked"] is True


def test_cancelled_while_it_waits_it_is_over_and_nothing_was_written(place: Place) -> None:
    issue = place.open_issue(TITLE, TEXT)
    branches, merge_requests = place.branches(), len(place.merge_requests())
    session = place.develop(issue, "--approve-plan", recording="greet-shout").told["session"]
    cancelled = place.cli("sessions", "cancel", session, "--reason", "not worth it", check=True)
    assert cancelled.stdout == f"{session} stopped: not worth it\n"
    refused = place.cli("sessions", "approve", session)
    assert refused.returncode == 1
    assert "it is stopped" in refused.stderr
    assert place.branches() == branches
    assert len(place.merge_requests()) == merge_requests
    assert place.notes(issue) == []
