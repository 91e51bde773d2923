"""What a review keeps, and keeps apart."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mergewright.domain.errors import NotFound
from mergewright.domain.review import (
    AuditEntry,
    Coverage,
    Finding,
    FindingState,
    Place,
    Proof,
    Review,
    ReviewerStatus,
    Seen,
    Severity,
    Verdict,
)
from mergewright.domain.session import Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind
from mergewright.store.reviews import SqlReviewStore
from mergewright.store.sql import open_store
from mergewright.store.triggers import SqlTriggerStore


@pytest.fixture
async def reviews(tmp_path: Path) -> AsyncIterator[SqlReviewStore]:
    store = open_store(tmp_path / "m.sqlite3")
    yield SqlReviewStore(store, tmp_path / "audit.key")
    await store.close()


REVIEW = Review("", "s1", "g/p", 1, 1, "abc", coverage=(Coverage("a", Seen.PARTLY, 3, 1, "over budget"),))
FINDING = Finding(
    "",
    "print",
    Place("a", 3, 2),
    Severity.MAJOR,
    "correctness",
    "t",
    "half a letter \udcff and \0",
    proof=Proof("make", {"x": "y"}, "E", 1, "E", "abc", holds=True),
)
ENTRY = AuditEntry(1.0, "ann", "dismiss", "g/p", 1, details={"role": "owner"})


async def test_a_review_and_its_findings_come_back_as_they_were_kept(reviews: SqlReviewStore) -> None:
    kept = await reviews.open_review(REVIEW)
    (finding,) = await reviews.save_findings("g/p", 1, [FINDING], ENTRY)
    assert await reviews.review(kept.id) == kept
    assert list(await reviews.findings("g/p", 1)) == [finding]
    assert (await reviews.finding(finding.id))[2].body == FINDING.body
    assert [one.details for one in await reviews.audit_entries("g/p", 1)] == [{"role": "owner"}]


async def test_a_session_has_one_review_of_a_head(reviews: SqlReviewStore) -> None:
    first = await reviews.open_review(REVIEW)
    assert (await reviews.open_review(REVIEW)).id == first.id


async def test_a_changed_finding_is_the_same_one_and_a_merge_request_sees_its_own(reviews: SqlReviewStore) -> None:
    from dataclasses import replace

    (one,) = await reviews.save_findings("g/p", 1, [FINDING])
    await reviews.save_findings("g/p", 2, [FINDING])
    await reviews.save_findings("g/p", 1, [replace(one, state=FindingState.FIXED)])
    assert [each.state for each in await reviews.findings("g/p", 1)] == [FindingState.FIXED]
    assert len(await reviews.all_findings("g/p")) == 2


async def test_what_is_not_there_is_said(reviews: SqlReviewStore) -> None:
    for missing in (reviews.review("x"), reviews.finding("x")):
        with pytest.raises(NotFound):
            await missing
    with pytest.raises(NotFound):
        await reviews.save_review(Review("x", "s", "g/p", 1, 1, "abc"))


async def test_a_review_that_cannot_be_saved_leaves_no_line_in_the_audit(reviews: SqlReviewStore) -> None:
    with pytest.raises(NotFound):
        await reviews.save_review(Review("x", "s", "g/p", 1, 1, "abc"), ENTRY)
    assert await reviews.audit_entries() == []


async def test_reviews_are_listed_by_merge_request_and_time(reviews: SqlReviewStore) -> None:
    from dataclasses import replace

    for number in range(5):
        await reviews.open_review(replace(REVIEW, session=f"s{number}", iid=1 + number % 2, created_at=10.0 + number))
    assert [one.session for one in await reviews.reviews("g/p", 1)] == ["s0", "s2", "s4"]
    assert [one.session for one in await reviews.reviews(since=12.0, until=14.0)] == ["s2", "s3"]
    done = replace((await reviews.reviews("g/p", 1))[0], status=ReviewerStatus.APPROVED, verdict=Verdict.APPROVED)
    await reviews.save_review(done)
    assert (await reviews.review(done.id)).verdict is Verdict.APPROVED


async def test_settings_and_parts_are_kept(reviews: SqlReviewStore) -> None:
    assert await reviews.settings("g") == {}
    await reviews.change_settings("g", {"block_on": "major"}, ENTRY)
    await reviews.change_settings("g", {"block_on": "minor"}, ENTRY)
    assert await reviews.settings("g") == {"block_on": "minor"}
    assert await reviews.part("r", "facts") is None
    await reviews.keep_part("r", "facts", {"a": [1]})
    await reviews.keep_part("r", "facts", {"a": [2]})
    assert await reviews.part("r", "facts") == {"a": [2]}


# --- triggers ----------------------------------------------------------------------------------

PUSH = Trigger(TriggerKind.REVIEW, Subject.parse("g/p!1"), "ann", Cause.PUSHED)


@pytest.fixture
async def triggers(tmp_path: Path) -> AsyncIterator[SqlTriggerStore]:
    store = open_store(tmp_path / "t.sqlite3")
    yield SqlTriggerStore(store)
    await store.close()


async def test_r49_a_delivery_counts_once(triggers: SqlTriggerStore) -> None:
    assert await triggers.deliver("d1", [PUSH])
    assert not await triggers.deliver("d1", [PUSH])
    assert len(await triggers.waiting()) == 1


async def test_r07_of_many_pushes_one_piece_of_work_is_left(triggers: SqlTriggerStore) -> None:
    for number in range(200):
        await triggers.deliver(f"d{number}", [PUSH])
    (waiting,) = await triggers.waiting()
    await triggers.done(waiting)
    assert await triggers.waiting() == []


async def test_r07_a_push_that_comes_while_another_is_worked_on_is_not_lost(triggers: SqlTriggerStore) -> None:
    await triggers.deliver("d1", [PUSH])
    (taken,) = await triggers.waiting()
    await triggers.deliver("d2", [PUSH])
    await triggers.done(taken)
    (left,) = await triggers.waiting()
    assert left.id != taken.id


async def test_deliveries_that_come_at_once_are_all_kept(triggers: SqlTriggerStore) -> None:
    notes = [Trigger(TriggerKind.ANSWER, PUSH.subject, "ann", note_id=number) for number in range(50)]
    taken = await asyncio.gather(*(triggers.deliver(f"n{one.note_id}", [one]) for one in notes))
    assert all(taken)
    assert {one.note_id for one in await triggers.waiting()} == set(range(50))
