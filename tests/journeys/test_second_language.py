"""A Perl project with a pipeline: an issue becomes a draft merge request whose branch passes its tests."""

import subprocess

import pytest

from tests.journeys.conftest import Serve
from tests.journeys.place import BOT, Developed, Place

ISSUE = (
    "`$stats->longest` shall give the longest words of the text, ties in the order of their appearance, each word once."
    "\nA text without words gives an empty list.\n\nThe README should name it.\n"
)


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    return serve_shared("text-stats")


@pytest.fixture(scope="module")
def issue(place: Place) -> str:
    return place.open_issue("Add `longest` to Text::Stats", ISSUE)


@pytest.fixture(scope="module")
def developed(place: Place, issue: str) -> Developed:
    return place.develop(issue, recording="perl-longest")


def test_the_session_finishes_and_tells_each_check_with_its_exit_code(developed: Developed) -> None:
    assert developed.exit_code == 0, developed.stderr
    assert developed.told["status"] == "finished"
    checks = developed.told["checks"]
    assert [(check["when"], check["command"], check["exit_code"], check["summary"]) for check in checks] == [
        ("before", "prove -lr t", 0, "4 passed"),
        ("after", "prove -lr t", 0, "7 passed"),
    ]
    assert [task["done"] for task in developed.told["plan"]] == [True, True, True]


def test_the_merge_request_is_a_linked_draft_that_says_what_was_done(place: Place, developed: Developed) -> None:
    told = developed.told["merge_request"]
    assert told["draft"] is True
    assert told["linked"] is True
    (merge_request,) = place.merge_requests()
    assert merge_request["iid"] == told["iid"]
    assert merge_request["sha"] == told["sha"]
    assert merge_request["title"] == "Draft: Add `longest` to Text::Stats"
    assert merge_request["author"]["username"] == BOT
    description = merge_request["description"]
    assert description.startswith("Closes #1\n")
    assert "- [x] Name `longest` in README.md" in description
    assert "| `prove -lr t` | exit code 0, 4 passed | exit code 0, 7 passed |" in description
    assert "- `lib/Text/Stats.pm` +13 −0" in description
    assert "Words that differ only in case count as different words" in description
    closes = place.get(f"{place.base}/merge_requests/{told['iid']}/closes_issues")
    assert [one["iid"] for one in closes] == [1]


def test_the_branch_holds_the_change_and_passes_its_tests_elsewhere(place: Place, developed: Developed) -> None:
    clone = place.clone(developed.told["merge_request"]["source_branch"])
    assert "sub longest" in (clone / "lib/Text/Stats.pm").read_text()
    proved = subprocess.run(["prove", "-lr", "t"], cwd=clone, capture_output=True, text=True, timeout=60, check=False)
    assert proved.returncode == 0, proved.stdout + proved.stderr
    assert "Tests=7" in proved.stdout


def test_the_note_on_the_issue_gives_the_link_and_the_pipelines_result(
    place: Place, issue: str, developed: Developed
) -> None:
    told = developed.told["merge_request"]
    pipelines = place.get(f"{place.base}/pipelines?sha={told['sha']}")
    assert [one["status"] for one in pipelines] == ["success"]
    (note,) = place.notes(issue)
    assert note["author"]["username"] == BOT
    assert note["body"].startswith("Draft merge request !1 is ready to be looked at: the project's checks pass on it.")
    assert f"pipeline {pipelines[0]['id']} ended with `success`" in note["body"]
    assert told["web_url"] in note["body"]


def test_what_happens_is_told_as_it_happens(developed: Developed) -> None:
    lines = developed.stderr.splitlines()
    for earlier, later in (("— plan", "— implement"), ("  $ prove -lr t", "— push"), ("— push", "— note on issue")):
        assert lines.index(earlier) < lines.index(later)
    assert lines[-1].startswith("finished: opened !1; pipeline ")


def test_no_token_is_in_any_log_or_note(place: Place, issue: str, developed: Developed) -> None:
    session = place.cli("sessions", "show", developed.told["session"], "--full", check=True).stdout
    written = [session, developed.stderr, place.notes(issue)[0]["body"], place.merge_requests()[0]["description"]]
    for name in ("person_token", "bot_token"):
        assert all(place.connection[name] not in text for text in written)
