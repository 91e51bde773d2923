"""R34 to R37: what the record says in numbers."""

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


def review(iid: int, round: int, verdict: str, at: float, **more: object) -> Review:
    made = Review(
        f"r{iid}.{round}", "s", "g/p", iid, round, "sha", status=ReviewerStatus.APPROVED, author=f"author{iid}"
    )
    return replace(made, verdict=Verdict(verdict), created_at=at, ended_at=at, **more)  # type: ignore[arg-type]


def finding(state: str, answer: str = "", category: str = "correctness") -> Finding:
    made = Finding("1", "f", Place("a", 1), Severity.MAJOR, category, "t", "b")
    return replace(made, state=FindingState(state), answer=answer)


REVIEWS = [
    review(1, 1, "requested_changes", 100.0),
    review(1, 2, "approved", 160.0),
    review(2, 1, "approved", 200.0),
    review(3, 1, "requested_changes", 300.0),
]
FINDINGS = [
    ("g/p", 1, finding("fixed")),
    ("g/p", 1, finding("dismissed", "overridden by @ann: now")),
    ("g/p", 1, finding("dismissed", "dismissed by @ann: known", "security")),
    ("g/p", 3, finding("open", "", "security")),
    ("g/p", 3, finding("disputed")),
]


def test_r34_each_finding_has_a_fate_by_project_category_and_author() -> None:
    told = metrics(Record(REVIEWS, FINDINGS))["findings"]
    assert told["fates"] == {
        "implemented": 1, "overridden": 1, "dismissed": 1, "obsolete": 0, "disputed": 1, "open": 1,
    }  # fmt: skip
    assert told["by_category"]["security"] == {"dismissed": 1, "open": 1}
    assert told["by_author"]["author3"] == {"open": 1, "disputed": 1}
    assert told["commonest_categories"] == [["correctness", 3], ["security", 2]]
    assert fate(finding("fixed")) == "implemented"


def test_r35_shares_and_rounds() -> None:
    told = metrics(Record(REVIEWS, FINDINGS))
    assert told["merge_requests_reviewed"] == 3
    assert told["share_with_changes_requested"] == 0.667
    assert told["share_approved"] == 0.667
    assert told["mean_rounds_before_approval"] == 1.5


def test_r36_who_overrode_with_which_role_and_what() -> None:
    audit = [
        AuditEntry(1.0, "ann", "override", "g/p", details={"role": "maintainer", "categories": ["correctness"]}),
        AuditEntry(2.0, "ann", "dismiss", "g/p", details={"role": "maintainer", "category": "security"}),
        AuditEntry(3.0, "bob", "refuse", "g/p"),
    ]
    told = metrics(Record(REVIEWS, FINDINGS, audit, seen={"g/p!1": {"up": 2, "down": 1}}))
    assert told["overrides"]["by_person"] == {"ann": 2}
    assert told["overrides"]["by_role"] == {"maintainer": 2}
    assert told["overrides"]["by_category"] == {"correctness": 1, "security": 1}
    assert told["overrides"]["refused"] == 1
    assert told["thumbs"] == {"up": 2, "down": 1}


def test_r37_times_where_they_are_known_and_null_where_they_are_not() -> None:
    told = metrics(Record(REVIEWS, FINDINGS, seen={"g/p!2": {"merged_at": "1970-01-01T00:05:00Z", "human_notes": 3}}))
    assert told["seconds_from_first_review_to_resolution"] == 60.0
    assert told["seconds_from_first_review_to_merge"] == 100.0
    assert told["human_comments_a_merge_request"] == 3
    assert told["seconds_to_merge_without_the_reviewer"] is None
    told = metrics(Record(REVIEWS, FINDINGS, policies={"g/p": "required", "g/q": "counts"}))
    assert told["share_of_projects_that_require_it"] == 0.5
    assert told["thumbs"] is None


def test_no_review_gives_no_number_out_of_thin_air() -> None:
    told = metrics(Record([], []))
    assert told["merge_requests_reviewed"] == 0
    assert told["share_approved"] is None
