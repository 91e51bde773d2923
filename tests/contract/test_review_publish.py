"""Publishing a review: all at once, exactly once, whatever breaks on the way."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import pytest

from mergewright.domain.errors import Unreachable
from mergewright.gitlab.reviewing import GitLabReviewForge
from tests.contract.place import REAL, Change, Place

if TYPE_CHECKING:
    from tests.contract.conftest import Way

Open = Callable[..., GitLabReviewForge]
State = Literal["reviewed", "requested_changes"]
OLD = "19.1.4-ee"
NEW = "19.2.0"

free_alone = pytest.mark.parametrize("tiered", ["free", *REAL], indirect=True, scope="session")


async def post(forge: GitLabReviewForge, change: Change, state: State = "requested_changes") -> None:
    """Post a review as its caller does: look for what is there, then write the rest."""
    there = {note.mark for one in await forge.discussions(change.subject) for note in one.notes}
    if "review.1" in there:
        return
    for number, line in enumerate((15, 16)):
        if f"f.{number}" not in there:
            at = change.at("src/app.py", None, line)
            await forge.add_draft_note(*change.where, f"Finding {number}", mark=f"f.{number}", position=at)
    await forge.publish_review(*change.where, state=state, note="Summary", mark="review.1")


def told(change: Change) -> list[str]:
    """The first line of each note, sorted."""
    return sorted(note["body"].partition("\n")[0] for note in change.notes())


ALL = ["Finding 0", "Finding 1", "Summary"]


@pytest.mark.parametrize("version", [NEW, OLD])
async def test_r39_a_review_is_published_whole(
    open_forge: Open, place: Place, change: Change, review_way: "Way", version: str
) -> None:
    review_way.said["/version"] = {"version": version}
    change.add_reviewer()
    forge = open_forge(review_way.url, place.reviewer_token)
    await post(forge, change)
    assert told(change) == ALL
    assert await forge.draft_notes(*change.where) == ()
    assert change.reviewer_state() == "requested_changes"
    marks = [note.mark for one in await forge.discussions(change.subject) for note in one.notes if note.mark]
    assert sorted(marks) == ["f.0", "f.1", "review.1"]


async def test_requested_changes_block_where_the_forge_is_licensed(
    reviewer: GitLabReviewForge, place: Place, change: Change
) -> None:
    change.add_reviewer()
    await post(reviewer, change)
    gates = await reviewer.gates(*change.where)
    assert gates.native == (place.site.tier != "free")
    assert (change.merge_status() == "requested_changes") == gates.native


@free_alone
@pytest.mark.parametrize("version", [NEW, OLD])
async def test_who_is_no_reviewer_publishes_without_a_state(
    open_forge: Open, place: Place, change: Change, review_way: "Way", version: str
) -> None:
    review_way.said["/version"] = {"version": version}
    await post(open_forge(review_way.url, place.reviewer_token), change)
    assert told(change) == ALL
    assert change.reviewer_state() == ""


@free_alone
@pytest.mark.parametrize("version", [NEW, OLD])
@pytest.mark.parametrize("answer_lost", [True, False], ids=["answer lost", "request lost"])
async def test_r39_a_review_whose_process_dies_at_any_write_is_posted_once(
    open_forge: Open, place: Place, review_way: "Way", version: str, answer_lost: bool
) -> None:
    review_way.said["/version"] = {"version": version}
    deaths = 0
    for write in range(12):
        change = place.propose()
        change.add_reviewer()
        review_way.dies("POST", after=write, passed_on=answer_lost)
        try:
            await post(open_forge(review_way.url, place.reviewer_token, retries=0), change)
        except Unreachable:
            deaths += 1
        else:
            break
        finally:
            review_way.faults.clear()
        await post(open_forge(review_way.url, place.reviewer_token, retries=0), change)
        assert told(change) == ALL, f"write {write}"
        assert change.reviewer_state() == "requested_changes", f"write {write}"
    assert deaths == (3 if version == NEW else 5)


@free_alone
@pytest.mark.parametrize("version", [NEW, OLD])
async def test_r39_a_publish_whose_answer_is_lost_is_tried_again_without_a_second_summary(
    open_forge: Open, place: Place, change: Change, review_way: "Way", version: str
) -> None:
    review_way.said["/version"] = {"version": version}
    change.add_reviewer()
    forge = open_forge(review_way.url, place.reviewer_token)
    review_way.loses_answer("POST")
    await forge.publish_review(*change.where, state="requested_changes", note="Summary", mark="review.1")
    assert told(change) == ["Summary"]
    assert change.reviewer_state() == "requested_changes"


@free_alone
async def test_a_state_that_got_lost_behind_the_summary_is_set_all_the_same(
    open_forge: Open, place: Place, change: Change, review_way: "Way"
) -> None:
    # The forge breaks off between the note and the state: a 502, with the note already there.
    change.add_reviewer()
    forge = open_forge(review_way.url, place.reviewer_token)
    await open_forge(place.site.url, place.reviewer_token).add_note(change.subject, "Summary", mark="review.1")
    review_way.status("POST", 502)
    await forge.publish_review(*change.where, state="requested_changes", note="Summary", mark="review.1")
    assert told(change) == ["Summary"]
    assert change.reviewer_state() == "requested_changes"


@free_alone
async def test_a_review_without_a_request_leaves_the_reviewer_as_reviewed(
    reviewer: GitLabReviewForge, change: Change
) -> None:
    change.add_reviewer()
    await post(reviewer, change, "reviewed")
    assert change.reviewer_state() == "reviewed"


@free_alone
async def test_marks_of_another_account_are_not_believed(reviewer: GitLabReviewForge, change: Change) -> None:
    change.api("POST", "/notes", body="Summary\n\n<!-- mergewright:review.1 -->")
    assert [note.mark for one in await reviewer.discussions(change.subject) for note in one.notes] == [""]
    await post(reviewer, change)
    assert told(change) == [*ALL, "Summary"]


@free_alone
async def test_a_note_is_updated_in_place(reviewer: GitLabReviewForge, change: Change) -> None:
    await reviewer.publish_review(*change.where, state=None, note="Before", mark="review.1")
    (note,) = [one.notes[0] for one in await reviewer.discussions(change.subject)]
    updated = await reviewer.update_note(change.subject, note.id, "After\n/close", mark="review.1")
    assert (updated.id, updated.mark) == (note.id, "review.1")
    assert told(change) == ["After"]
    assert change.api("GET")["state"] == "opened"


@free_alone
async def test_an_answer_in_a_thread_is_written_once(
    open_forge: Open, place: Place, change: Change, review_way: "Way"
) -> None:
    thread = change.api("POST", "/discussions", body="Why?")["id"]
    forge = open_forge(review_way.url, place.reviewer_token)
    review_way.loses_answer("POST")
    first = await forge.reply(change.subject, thread, "Because", mark="answer.1")
    assert await forge.reply(change.subject, thread, "Because", mark="answer.1") == first
    assert told(change) == ["Because", "Why?"]


@free_alone
async def test_a_thread_is_settled_and_opened_again(reviewer: GitLabReviewForge, change: Change) -> None:
    thread = change.api("POST", "/discussions", body="Why?")["id"]
    for resolved in (True, False):
        found = await reviewer.resolve(change.subject, thread, resolved=resolved)
        assert found.notes[0].resolved is resolved


@free_alone
async def test_thumbs_are_counted(reviewer: GitLabReviewForge, place: Place, change: Change) -> None:
    await reviewer.publish_review(*change.where, state=None, note="Summary", mark="review.1")
    (note,) = change.notes()
    assert await reviewer.thumbs(change.subject, note["id"]) == (0, 0)
    change.api("POST", f"/notes/{note['id']}/award_emoji", name="thumbsup")
    change.api("POST", f"/notes/{note['id']}/award_emoji", place.reviewer_token, name="thumbsdown")
    change.api("POST", f"/notes/{note['id']}/award_emoji", name="tada")
    assert await reviewer.thumbs(change.subject, note["id"]) == (1, 1)
