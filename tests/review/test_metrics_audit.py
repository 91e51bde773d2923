"""R34 to R37 where people had the last word: their decision is written over the review, and the audit remembers."""

from dataclasses import replace

from mergewright.domain.review import (
    AuditEntry,
    Finding,
    FindingState,
    Place,
    Review,
    ReviewerStatus,
    Severity,
    Verdict,
)
from mergewright.review.metrics import Record, fate, metrics

REVIEW = Review("r1", "s", "g/p", 1, 1, "sha", status=ReviewerStatus.OVERRIDDEN, verdict=Verdict.REVIEWED, ended_at=100)
LINE = AuditEntry(100.0, "reviewer:bot", "review", "g/p", 1, details={"verdict": "requested_changes", "round": 1})
OVERRIDE = AuditEntry(
    130.0, "ann", "override", "g/p", 1, details={"role": "owner", "findings": ["f1"], "categories": []}
)
FINDING = Finding("f1", "f", Place("a", 1), Severity.CRITICAL, "security", "t", "b", state=FindingState.DISMISSED)


def test_r35_an_overridden_request_was_a_request() -> None:
    assert metrics(Record([REVIEW], []))["share_with_changes_requested"] == 0.0
    told = metrics(Record([REVIEW], [], [LINE, OVERRIDE]))
    assert told["share_with_changes_requested"] == 1.0
    assert told["share_approved"] == 0.0
    assert told["mean_rounds_before_approval"] is None


def test_r35_the_audit_of_one_merge_request_says_nothing_of_another() -> None:
    told = metrics(Record([REVIEW, replace(REVIEW, id="r2", iid=2)], [], [LINE]))
    assert told["share_with_changes_requested"] == 0.5


def test_r34_an_override_is_known_by_the_audit_whatever_the_answer_says() -> None:
    assert fate(FINDING) == "dismissed"
    assert fate(FINDING, {"f1"}) == "overridden"
    assert metrics(Record([REVIEW], [("g/p", 1, FINDING)], [OVERRIDE]))["findings"]["by_author"] == {
        "unknown": {"overridden": 1}
    }


def test_r37_an_override_and_an_approval_after_a_dismissal_resolve_a_request() -> None:
    told = metrics(Record([REVIEW], [], [LINE, OVERRIDE]))
    assert told["seconds_from_first_review_to_resolution"] == 30.0
    approved = replace(REVIEW, status=ReviewerStatus.APPROVED, verdict=Verdict.APPROVED)
    anew = replace(LINE, at=160.0, details={"verdict": "approved", "anew": True})
    told = metrics(Record([approved], [], [LINE, replace(OVERRIDE, action="dismiss"), anew]))
    assert told["seconds_from_first_review_to_resolution"] == 60.0


def test_r37_an_approval_at_once_took_no_time_to_resolve() -> None:
    approved = replace(REVIEW, status=ReviewerStatus.APPROVED, verdict=Verdict.APPROVED)
    told = metrics(Record([approved], [], [replace(LINE, details={"verdict": "approved"})]))
    assert told["seconds_from_first_review_to_resolution"] is None
    assert told["mean_rounds_before_approval"] == 1
