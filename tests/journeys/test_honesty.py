"""What did not work, and what was made to look as if it did, is said where people look."""

import pytest

from tests.journeys.conftest import Serve
from tests.journeys.place import Developed, Place


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    return serve_shared("greet")


@pytest.fixture(scope="module")
def failed(place: Place) -> Developed:
    issue = place.open_issue(
        "Add an option `--shout`",
        "`sh greet.sh --shout Ada` shall print `HELLO, ADA!`. Without a name it shouts at the world.\n",
    )
    return place.develop(issue, recording="failing")


def test_checks_that_fail_three_times_end_the_session_as_failed(place: Place, failed: Developed) -> None:
    assert failed.exit_code == 1, failed.stderr
    assert failed.told["status"] == "failed"
    assert failed.told["reason"].startswith("checks still fail after 3 tries: `make test`: exit code 2")
    checks = [(check["when"], check["exit_code"]) for check in failed.told["checks"]]
    assert checks == [("before", 0), ("after", 2), ("after", 2), ("after", 2)]
    assert place.session(failed.told["session"])["reason"] == failed.told["reason"]


def test_the_draft_says_that_it_is_not_finished_and_why(place: Place, failed: Developed) -> None:
    (merge_request,) = place.merge_requests()
    assert merge_request["draft"] is True
    assert merge_request["sha"] == failed.told["merge_request"]["sha"]
    description = merge_request["description"]
    assert "**Not finished:** checks still fail after 3 tries: `make test`: exit code 2" in description
    assert "| `make test` | exit code 0, 2 passed | exit code 2, 2 passed, 2 failed |" in description
    assert "the two new cases fail" in description
    assert "- [x]" not in description


def test_the_note_on_the_issue_claims_no_success(place: Place, failed: Developed) -> None:
    (note,) = place.notes("local/greet#1")
    assert note["body"].startswith("Draft merge request !1 is not finished: checks still fail after 3 tries")
    assert failed.told["merge_request"]["web_url"] in note["body"]
    for word in ("ready to be looked at", "checks pass", "success"):
        assert word not in note["body"]
        assert word not in place.merge_requests()[0]["description"]
    assert "finished:" not in failed.stderr


def test_a_weakened_test_is_named_in_the_merge_request(serve: Serve) -> None:
    place = serve("text-stats")
    issue = place.open_issue("Count lines as `wc -l` does", "`lines` should count newlines.\n")
    developed = place.develop(issue, recording="weakened")
    assert developed.exit_code == 0, developed.stderr
    assert [check["exit_code"] for check in developed.told["checks"]] == [0, 0]
    description = place.merge_requests()[0]["description"]
    _, _, weaker = description.partition("### Tests that hold less than before\n\n")
    assert weaker.startswith("- `t/stats.t` `the file's top level`: it has 3 assertions now, 4 before\n")
    assert "But some tests hold less than before" in place.notes(issue)[0]["body"]
