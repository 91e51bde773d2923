"""Policies, metrics and the audit's export, as the command line and REST work with them."""

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from mergewright.app.records import COLUMNS, as_csv, as_jsonl, look_again, metrics_of, need_flow, policy_for, set_policy
from mergewright.domain.approval import ReviewForge
from mergewright.domain.errors import Forbidden, NotFound, Unauthorized, WrongUse
from mergewright.domain.forge import Discussion, MergeRequest, Note, Project, User
from mergewright.domain.forge import Forge as ProjectForge
from mergewright.domain.review import AuditEntry, Finding, Place, Review, Severity, Verdict
from mergewright.domain.session import Subject
from mergewright.store.reviews import SqlReviewStore
from mergewright.store.sql import open_store

REVIEW = Review("", "s1", "group/project", 1, 1, "sha", verdict=Verdict.REQUESTED_CHANGES, author="ada", summary_note=7)
FINDING = Finding("", "f", Place("a.py", 1), Severity.CRITICAL, "security", "t", "b")
ADA, BOT = User(1, "ada"), User(2, "reviewer", bot=True)


@pytest.fixture
async def reviews(tmp_path: Path) -> AsyncIterator[SqlReviewStore]:
    store = open_store(tmp_path / "m.db")
    yield SqlReviewStore(store, tmp_path / "audit.key")
    await store.close()


class Forge:
    """Two merge requests: one merged, one gone."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.refuses = refuses

    async def merge_request(self, project: str, iid: int) -> MergeRequest:
        if self.refuses:
            raise Unauthorized("the token is wrong")
        if iid != 1:
            raise NotFound("gone")
        return self.made(project, iid)

    def made(self, project: str, iid: int) -> MergeRequest:
        opened, merged = "2025-12-31T12:00:00Z", "2026-01-02T00:00:00Z"
        made = MergeRequest(1, iid, project, "", "", "merged", False, "", "", "", ADA, "")
        return replace(made, created_at=opened, merged_at=merged)

    async def merged(self, project: str, *, most: int = 50) -> Sequence[MergeRequest]:
        """The one that was reviewed, and one that never was, an hour open."""
        del most
        quick = replace(self.made(project, 9), created_at="2026-01-01T23:00:00Z")
        return [self.made(project, 1), quick]

    async def discussions(self, subject: Subject) -> Sequence[Discussion]:
        del subject
        notes = (
            Note(1, "hm", ADA),
            Note(2, "merged", ADA, system=True),
            Note(3, "look", BOT),
            Note(4, "", ADA, mark="x"),
        )
        return [Discussion("d", notes)]

    async def thumbs(self, subject: Subject, note_id: int) -> tuple[int, int]:
        assert (subject.iid, note_id) == (1, 7)
        return 2, 1


async def change(reviews: SqlReviewStore, scope: str, reason: str = "agreed", **values: object) -> None:
    await set_policy(reviews, scope, values, actor="ada", reason=reason)


async def test_r31_a_change_is_in_force_at_once_and_stands_in_the_audit(reviews: SqlReviewStore) -> None:
    await change(reviews, "group", block_on="major")
    await change(reviews, "group", round_limit=7)
    found = await policy_for(reviews, "group/project")
    assert (found.policy.block_on, found.policy.round_limit) == (Severity.MAJOR, 7)
    second = (await reviews.audit_entries())[1]
    assert (second.actor, second.action, second.reason) == ("ada", "policy", "agreed")
    assert second.details["before"] == {"block_on": "major"}
    assert second.details["after"] == {"block_on": "major", "round_limit": 7}
    assert second.policy["round_limit"] == 5


async def test_r31_what_is_locked_above_is_refused_below_with_nothing_changed(reviews: SqlReviewStore) -> None:
    await set_policy(reviews, "", {"block_on": "major"}, actor="ada", reason="agreed", lock=["block_on"])
    with pytest.raises(WrongUse, match="looser than organisation allows"):
        await change(reviews, "group/project", block_on="critical")
    await change(reviews, "group/project", block_on="minor")
    assert await reviews.settings("group/project") == {"block_on": "minor"}
    assert len(await reviews.audit_entries()) == 2
    await set_policy(reviews, "", {}, actor="ada", reason="no longer", unset=["block_on"])
    assert await reviews.settings("") == {"locked": []}
    await change(reviews, "group/project", block_on="critical")


@pytest.mark.parametrize(
    ("scope", "values", "reason", "said"),
    [
        ("group", {"nope": 1}, "agreed", "no policy `nope`"),
        ("group", {"block_on": "fatal"}, "agreed", "`block_on` is `fatal`"),
        ("group", {}, "agreed", "nothing to set"),
        ("group", {"round_limit": 3}, "  ", "takes a reason"),
        ("a b", {"round_limit": 3}, "agreed", "names no group"),
        ("group/", {"round_limit": 3}, "agreed", "names no group"),
        ("group\nx", {"round_limit": 3}, "agreed", "names no group"),
    ],
)
async def test_what_cannot_be_set_is_refused_with_nothing_changed(
    reviews: SqlReviewStore, scope: str, values: dict[str, object], reason: str, said: str
) -> None:
    with pytest.raises(WrongUse, match=said):
        await set_policy(reviews, scope, values, actor="ada", reason=reason)
    assert await reviews.all_settings() == {}
    assert await reviews.audit_entries() == []


async def test_r35_metrics_tell_of_one_project_and_one_period_only(reviews: SqlReviewStore) -> None:
    for number, project in enumerate(["group/project", "group/project", "other/one"], start=1):
        made = replace(REVIEW, session=f"s{number}", project=project, iid=number, created_at=float(number * 100))
        await reviews.open_review(made)
        await reviews.save_findings(project, number, [FINDING])
    await change(reviews, "other", approval="required")
    assert (await metrics_of(reviews))["merge_requests_reviewed"] == 3
    assert (await metrics_of(reviews))["share_of_projects_that_require_it"] == 0.5
    told = await metrics_of(reviews, project="group/project", since=150.0)
    assert told["merge_requests_reviewed"] == 1
    assert told["findings"]["by_author"] == {"ada": {"open": 1}}


async def test_r37_a_look_at_the_forge_is_kept_and_what_is_gone_does_not_end_it(reviews: SqlReviewStore) -> None:
    for iid in (2, 1):
        await reviews.open_review(replace(REVIEW, session=f"s{iid}", iid=iid, created_at=1767225600.0))
    assert (await metrics_of(reviews))["thumbs"] is None
    assert await look_again(reviews, cast(ReviewForge, Forge())) == 1
    told = await metrics_of(reviews)
    assert told["thumbs"] == {"up": 2, "down": 1}
    assert told["human_comments_a_merge_request"] == 1.0
    assert told["seconds_from_first_review_to_merge"] == 86_400.0
    assert told["seconds_from_opening_to_merge"] == 1.5 * 86_400.0
    assert told["seconds_to_merge_without_the_reviewer"] == 3_600.0
    assert told["human_comments_a_merge_request_without_the_reviewer"] == 1.0


async def test_r37_what_was_merged_without_a_review_counts_in_its_project_and_period_only(
    reviews: SqlReviewStore,
) -> None:
    await reviews.open_review(replace(REVIEW, created_at=1767225600.0))
    assert (await metrics_of(reviews))["seconds_to_merge_without_the_reviewer"] is None
    await look_again(reviews, cast(ReviewForge, Forge()))
    for more in ({"project": "other/one"}, {"projects": ["other/one"]}, {"since": 2e9}, {"until": 1.0}):
        told = await metrics_of(reviews, **more)
        assert told["seconds_to_merge_without_the_reviewer"] is None
    # Once it was reviewed after all, it is none of those any more.
    await reviews.open_review(replace(REVIEW, session="s9", iid=9, created_at=1767225600.0))
    assert (await metrics_of(reviews))["human_comments_a_merge_request_without_the_reviewer"] is None


async def test_r35_numbers_of_some_projects_say_nothing_of_the_others(reviews: SqlReviewStore) -> None:
    for number, project in enumerate(["group/project", "other/one"], start=1):
        await reviews.open_review(
            replace(REVIEW, session=f"s{number}", project=project, created_at=1.0, author=project)
        )
        await reviews.save_findings(project, 1, [FINDING])
        await reviews.audit(AuditEntry(1.0, project, "dismiss", project, 1))
    told = await metrics_of(reviews, projects=["group/project"])
    assert told["merge_requests_reviewed"] == 1
    assert "other/one" not in str(told)
    assert (await metrics_of(reviews, projects=[]))["merge_requests_reviewed"] == 0


async def test_a_forge_that_refuses_is_no_merge_request_that_is_gone(reviews: SqlReviewStore) -> None:
    await reviews.open_review(REVIEW)
    with pytest.raises(Unauthorized):
        await look_again(reviews, cast(ReviewForge, Forge(refuses=True)))


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1"])
def test_r33_no_cell_of_the_export_is_a_formula(evil: str) -> None:
    text = as_csv([AuditEntry(1.0, evil, "dismiss", evil, 1, evil, evil, evil, {"a": evil})])
    (head, row) = csv.reader(io.StringIO(text, newline=""))
    assert head == list(COLUMNS)
    assert not [cell for cell in row if cell[:1] in {"=", "+", "-", "@", "\t", "\n"}]
    assert row[COLUMNS.index("reason")] == f"'{evil}"


def test_r33_no_text_of_a_stranger_breaks_the_export_or_the_terminal_it_is_shown_on() -> None:
    entry = AuditEntry(1.0, "ada", "dismiss", "g/p", 1, reason="half \udcff, \x1b[2J, \x9b2J, nul \x00, \r, é 🙂\nmore")
    (_, row) = csv.reader(io.StringIO(as_csv([entry]), newline=""))
    assert row[COLUMNS.index("reason")] == "half \\udcff, \\x1b[2J, \\x9b2J, nul \\x00, \\x0d, é 🙂\nmore"
    assert as_jsonl([entry]).isascii()


def test_r33_the_export_as_json_says_everything_line_by_line() -> None:
    entry = AuditEntry(
        1.5, "ada", "dismiss", "g/p", 1, reason="two\nlines \u2028 é", details={"a": [1]}, seq=3, hash="h"
    )
    (line,) = as_jsonl([entry]).removesuffix("\n").split("\n")
    told = json.loads(line)
    assert AuditEntry(**told) == entry


class Branch:
    """A forge that knows one project's file of the policy."""

    def __init__(self, file: bytes | None = None) -> None:
        self.text = file

    async def project(self, path: str) -> Project:
        return Project(1, path, "main", "", "")

    async def file(self, project: str, path: str, *, ref: str) -> bytes | None:
        assert (path, ref) == (".mergewright/review.yaml", "main")
        return self.text


async def test_a_flow_that_is_off_is_started_by_nobody(reviews: SqlReviewStore) -> None:
    forge = cast(ProjectForge, Branch())
    await need_flow(reviews, forge, "group/project", "developer")
    await change(reviews, "group", flows_off=["developer"])
    with pytest.raises(Forbidden, match="the flow `developer/v1` is off in `group/project`") as caught:
        await need_flow(reviews, forge, "group/project", "developer/v1")
    assert "group" in caught.value.hint
    await need_flow(reviews, forge, "group/project", "feedback")
    await change(reviews, "group/project", flows_off=[])
    await need_flow(reviews, forge, "group/project", "developer")
    with pytest.raises(Forbidden):
        await need_flow(reviews, cast(ProjectForge, Branch(b"flows_off: [developer]\n")), "group/project", "developer")
