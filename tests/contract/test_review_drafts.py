"""Drafts and their places: written once, seen by nobody else, on the line that was meant."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from mergewright.domain.approval import Position
from mergewright.domain.errors import Conflict, Forbidden, ForgeError, NotFound, Unreachable
from mergewright.gitlab.reviewing import GitLabReviewForge
from tests.contract.place import REAL, Change, Place

if TYPE_CHECKING:
    from tests.contract.conftest import Way

Open = Callable[..., GitLabReviewForge]

# Drafts are the same on every tier.
pytestmark = pytest.mark.parametrize("tiered", ["free", *REAL], indirect=True, scope="session")

PLACES: dict[str, tuple[str, int | None, int | None, dict[str, Any]]] = {
    "an added line": ("src/app.py", None, 16, {}),
    "a replaced line": ("src/app.py", None, 15, {}),
    "a removed line": ("src/app.py", 20, None, {}),
    "an unchanged line": ("src/app.py", 14, 14, {}),
    "an unchanged line after a shift": ("src/app.py", 30, 30, {}),
    "an unchanged line between two shifts": ("src/app.py", 17, 18, {}),
    "a range of added lines": ("src/app.py", None, 16, {"start": (None, 15)}),
    "a range from an unchanged line": ("src/app.py", None, 15, {"start": (13, 13)}),
    "a line of a renamed file": ("new name.py", None, 3, {"old_path": "old name.py"}),
    "a line of a new file": ("fresh.py", None, 2, {}),
    "a line of a file that is neither UTF-8 nor Unix": ("dos.txt", None, 4, {}),
}


@pytest.mark.parametrize("name", PLACES)
async def test_r41_a_draft_lands_on_the_line_that_was_meant(
    reviewer: GitLabReviewForge, change: Change, name: str
) -> None:
    path, old, new, more = PLACES[name]
    await reviewer.add_draft_note(*change.where, "Here", mark="finding.1", position=change.at(path, old, new, **more))
    await reviewer.publish_review(*change.where, state=None, note="Done", mark="review.1")
    (note,) = [one["notes"][0] for one in change.threads() if one["notes"][0].get("position")]
    at = note["position"]
    assert (note["type"], at["new_path"], at.get("old_line"), at.get("new_line")) == ("DiffNote", path, old, new)
    assert bool(at.get("line_range")) == ("start" in more)


async def test_a_draft_on_a_whole_file_needs_no_line(reviewer: GitLabReviewForge, change: Change) -> None:
    at = change.at("new name.py", None, None, old_path="old name.py", whole_file=True)
    await reviewer.add_draft_note(*change.where, "The file", mark="finding.1", position=at)
    await reviewer.publish_review(*change.where, state=None, note="Done", mark="review.1")
    positions = [one["notes"][0]["position"] for one in change.threads() if one["notes"][0].get("position")]
    assert [at["position_type"] for at in positions] == ["file"]


@pytest.mark.parametrize(
    ("path", "old", "new"), [("src/app.py", None, 14), ("src/app.py", 15, 15), ("fresh.py", 1, 1), ("no.py", None, 1)]
)
async def test_r40_a_place_that_the_forge_refuses_is_an_error_at_once(
    reviewer: GitLabReviewForge, waits: list[float], change: Change, path: str, old: int | None, new: int | None
) -> None:
    with pytest.raises(ForgeError) as refusal:
        await reviewer.add_draft_note(*change.where, "Here", mark="finding.1", position=change.at(path, old, new))
    assert not isinstance(refusal.value, Unreachable | Conflict | NotFound | Forbidden)
    assert waits == []
    assert await reviewer.draft_notes(*change.where) == ()


async def test_a_forge_that_refuses_numbers_in_a_range_gets_it_without(
    open_forge: Open, place: Place, change: Change, review_way: "Way"
) -> None:
    # So do releases of GitLab that name the numbers in their documentation.
    body = b'{"message":{"position":["must be a valid json schema"]}}'
    review_way.refuses("POST", body)
    forge = open_forge(review_way.url, place.reviewer_token)
    for number, start in enumerate((15, 14)):
        at = change.at("src/app.py", None, 16, start=(None, 15) if start == 15 else (14, 14))
        await forge.add_draft_note(*change.where, "Here", mark=f"finding.{number}", position=at)
    ends = [sent["position"]["line_range"]["start"] for sent in review_way.sent if "position" in sent]
    assert [end.get("new_line") for end in ends] == [15, None, None]
    assert [end["type"] for end in ends] == ["new", "new", "old"]
    assert len(await forge.draft_notes(*change.where)) == 2


async def test_r39_a_draft_with_a_mark_that_stands_is_not_written_again(
    open_forge: Open, place: Place, change: Change
) -> None:
    first = await open_forge(place.site.url, place.reviewer_token).add_draft_note(*change.where, "One", mark="f.1")
    again = open_forge(place.site.url, place.reviewer_token)
    assert await again.add_draft_note(*change.where, "One, said anew", mark="f.1") == first
    other = await again.add_draft_note(*change.where, "Two", mark="f.2")
    assert [draft.mark for draft in await again.draft_notes(*change.where)] == ["f.1", "f.2"]
    assert other.id != first.id


async def test_r39_a_draft_whose_answer_is_lost_is_written_once(
    open_forge: Open, place: Place, change: Change, review_way: "Way"
) -> None:
    review_way.loses_answer("POST")
    forge = open_forge(review_way.url, place.reviewer_token)
    made = await forge.add_draft_note(*change.where, "One", mark="f.1")
    assert [draft.id for draft in await forge.draft_notes(*change.where)] == [made.id]


async def test_nobody_else_sees_a_draft(reviewer: GitLabReviewForge, change: Change) -> None:
    await reviewer.add_draft_note(*change.where, "Not yet", mark="f.1")
    assert change.api("GET", "/draft_notes") == []
    assert change.notes() == []


async def test_a_dropped_draft_is_gone_and_may_be_dropped_again(reviewer: GitLabReviewForge, change: Change) -> None:
    made = await reviewer.add_draft_note(*change.where, "One", mark="f.1")
    for _ in range(2):
        await reviewer.drop_draft_note(*change.where, made.id)
    assert await reviewer.draft_notes(*change.where) == ()
    written = await reviewer.add_draft_note(*change.where, "One", mark="f.1")
    assert [draft.id for draft in await reviewer.draft_notes(*change.where)] == [written.id]


async def test_r42_no_quick_action_of_a_draft_or_a_summary_runs(reviewer: GitLabReviewForge, change: Change) -> None:
    await reviewer.add_draft_note(*change.where, "Look\n/close\n/approve", mark="f.1")
    await reviewer.publish_review(*change.where, state=None, note="Sum\n/close\n/approve", mark="review.1")
    now = change.api("GET")
    assert now["state"] == "opened"
    assert change.api("GET", "/approvals")["approved_by"] == []
    assert [note["body"].count("/close") for note in change.notes()] == [1, 1]


async def test_a_draft_answers_a_thread_and_settles_it(reviewer: GitLabReviewForge, change: Change) -> None:
    at = change.at("src/app.py", None, 16)
    await reviewer.add_draft_note(*change.where, "Wrong", mark="f.1", position=at)
    await reviewer.publish_review(*change.where, state=None, note="First", mark="review.1")
    (thread,) = [one for one in await reviewer.discussions(change.subject) if one.notes[0].mark == "f.1"]
    assert (thread.notes[0].resolvable, thread.notes[0].resolved) == (True, False)
    assert (thread.notes[0].path, thread.notes[0].line) == ("src/app.py", 16)
    await reviewer.add_draft_note(*change.where, "Fixed", mark="a.1", discussion_id=thread.id, resolve=True)
    await reviewer.publish_review(*change.where, state=None, note="Second", mark="review.2")
    (thread,) = [one for one in await reviewer.discussions(change.subject) if one.id == thread.id]
    assert [note.mark for note in thread.notes] == ["f.1", "a.1"]
    assert thread.notes[0].resolved
    assert thread.notes[0].resolved_by == change.place.reviewer


async def test_a_position_of_another_head_is_refused(reviewer: GitLabReviewForge, change: Change) -> None:
    refs = change.refs()
    unknown = Position(type(refs)(refs.base_sha, refs.start_sha, "0" * 40), "src/app.py", "src/app.py", None, 16)
    with pytest.raises(ForgeError):
        await reviewer.add_draft_note(*change.where, "Here", mark="f.1", position=unknown)
