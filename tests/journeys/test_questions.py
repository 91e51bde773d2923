"""An issue that is too vague gets questions, not a guess."""

import pytest

from tests.journeys.conftest import Serve
from tests.journeys.place import BOT, Developed, Place


@pytest.fixture(scope="module")
def place(serve_shared: Serve) -> Place:
    return serve_shared("greet")


@pytest.fixture(scope="module")
def issue(place: Place) -> str:
    return place.open_issue("It is slow", "Please fix.\n")


@pytest.fixture(scope="module")
def asked(place: Place, issue: str) -> Developed:
    return place.develop(issue, recording="vague")


def test_the_questions_are_a_note_on_the_issue_and_nothing_else_is_written(
    place: Place, issue: str, asked: Developed
) -> None:
    assert asked.exit_code == 0, asked.stderr
    (note,) = place.notes(issue)
    assert note["author"]["username"] == BOT
    assert "I would rather ask than guess" in note["body"]
    assert "1. What do you run, and on which machine?" in note["body"]
    assert "2. How long does it take, and how long should it take?" in note["body"]
    assert place.branches() == ["main"]
    assert place.merge_requests() == []


def test_the_session_says_that_it_asked(asked: Developed) -> None:
    assert asked.told["status"] == "finished"
    assert asked.told["reason"] == "the issue is too vague to act on: asked 2 questions on it"
    assert asked.told["merge_request"] is None
    assert asked.told["plan"] == []


def test_going_on_with_it_asks_nothing_twice(place: Place, issue: str, asked: Developed) -> None:
    again = place.cli("sessions", "resume", asked.told["session"])
    assert again.returncode == 1
    assert "has finished" in again.stderr
    assert len(place.notes(issue)) == 1


def test_started_anew_once_the_questions_are_answered_it_is_another_session(
    place: Place, issue: str, asked: Developed
) -> None:
    place.api("POST", f"{place.base}/issues/1/notes", body="`sh greet.sh` takes 4 s. Two would be fine.")
    again = place.develop(issue, recording="vague")
    assert again.exit_code == 0, again.stderr
    assert again.told["session"] != asked.told["session"]
    assert [note["author"]["username"] for note in place.notes(issue)] == [BOT, place.person, BOT]
