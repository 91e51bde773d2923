"""What every store of reviews must do, whatever database lies under it."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from mergewright.domain.errors import Conflict, NotFound
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
from mergewright.store.audit import AuditReport
from mergewright.store.reviews import SqlReviewStore
from mergewright.store.sql import SqlStore, open_store

REVIEW = Review(
    id="",
    session="s1",
    project="group/project",
    iid=12,
    round=1,
    head_sha="a" * 40,
    base_sha="b" * 40,
    author="ada",
    explicit=True,
    coverage=(Coverage("a.py", Seen.PARTLY, 10, 4, "over budget"), Coverage("b.lock", Seen.SKIPPED, 3, 0, "", True)),
    dropped={"repeated": 2},
    policy={"block_on": "critical", "exclude": ["docs/**"], "analyzers": {}},
    model="recorded:demo",
)
FINDING = Finding(
    id="",
    fingerprint="f1",
    place=Place("src/wörd\udcff.py", 7, 5, "old"),
    severity=Severity.CRITICAL,
    category="security",
    title="A title with a nul \x00 and half a letter \udcff",
    body="Why 🙂",
    quote="x = 1\n",
    suggestion="",
    proof=Proof("pytest -q", {"t.py": "assert x"}, "assert x", 1, output="1 failed", holds=True),
    confidence=0.75,
)
ENTRY = AuditEntry(
    1_700_000_000.25, "ada", "dismiss", "group/project", 12, reason="a reason", details={"role": "owner"}
)


@pytest.fixture
async def sessions(database: str) -> AsyncIterator[SqlStore]:
    opened = open_store(database)
    yield opened
    await opened.close()


@pytest.fixture
def store(sessions: SqlStore, tmp_path: Path) -> SqlReviewStore:
    return SqlReviewStore(sessions, tmp_path / "audit.key")


async def test_a_review_is_kept_as_it_was_given(store: SqlReviewStore) -> None:
    opened = await store.open_review(REVIEW)
    assert opened.id
    assert opened.created_at
    assert await store.review(opened.id) == opened == replace(REVIEW, id=opened.id, created_at=opened.created_at)
    ended = replace(opened, status=ReviewerStatus.APPROVED, verdict=Verdict.APPROVED, summary_note=5, ended_at=9.5)
    await store.save_review(ended, ENTRY)
    assert await store.review(opened.id) == ended
    assert [one.action for one in await store.audit_entries()] == ["dismiss"]


async def test_a_session_opens_one_review_of_a_head_and_another_of_the_next(store: SqlReviewStore) -> None:
    first = await store.open_review(REVIEW)
    assert await store.open_review(replace(REVIEW, round=3)) == first
    second = await store.open_review(replace(REVIEW, head_sha="c" * 40, round=2))
    assert second.id != first.id
    assert [one.id for one in await store.reviews("group/project", 12)] == [first.id, second.id]


async def test_openers_of_one_review_at_once_get_the_same(database: str, tmp_path: Path) -> None:
    stores = [open_store(database) for _ in range(4)]
    opened = await asyncio.gather(*(SqlReviewStore(one, tmp_path / "k").open_review(REVIEW) for one in stores))
    assert len({one.id for one in opened}) == 1
    for one in stores:
        await one.close()


async def test_reviews_are_asked_for_by_project_request_and_period_and_the_newest_are_kept(
    store: SqlReviewStore,
) -> None:
    for number in range(1, 6):
        made = replace(REVIEW, id=f"r{number}", session=f"s{number}", created_at=float(number), iid=number % 2 + 1)
        await store.open_review(replace(made, project="other/one" if number == 5 else made.project))

    async def ids(project: str = "", iid: int = 0, since: float = 0.0, until: float = 0.0, limit: int = 9) -> list[str]:
        return [one.id for one in await store.reviews(project, iid, since=since, until=until, limit=limit)]

    assert await ids() == ["r1", "r2", "r3", "r4", "r5"]
    assert await ids("group/project") == ["r1", "r2", "r3", "r4"]
    assert await ids("group/project", 1) == ["r2", "r4"]
    assert await ids(since=2.0, until=4.0) == ["r2", "r3"]
    assert await ids(limit=2) == ["r4", "r5"]


async def test_the_newest_review_of_each_merge_request_is_given_the_newest_first(store: SqlReviewStore) -> None:
    for number, (project, iid) in enumerate([("g/p", 1), ("g/p", 2), ("g/p", 1), ("g/q", 1)], start=1):
        made = replace(REVIEW, id=f"r{number}", session=f"s{number}", project=project, iid=iid)
        await store.open_review(replace(made, created_at=float(number)))
    await store.change_settings("g/s", {"round_limit": 3}, replace(ENTRY, action="policy"))
    await store.change_settings("g", {"round_limit": 4}, replace(ENTRY, action="policy"))
    assert [one.id for one in await store.newest()] == ["r4", "r3", "r2"]
    assert [one.id for one in await store.newest(["g/p"])] == ["r3", "r2"]
    assert [one.id for one in await store.newest(before=4.0, limit=1)] == ["r3"]
    assert list(await store.newest([])) == []
    assert list(await store.projects()) == ["g/p", "g/q", "g/s"]


async def test_what_is_not_there_is_not_found(store: SqlReviewStore) -> None:
    with pytest.raises(NotFound, match="no review `nope`"):
        await store.review("nope")
    with pytest.raises(NotFound, match="no finding `nope`"):
        await store.finding("nope")
    with pytest.raises(NotFound):
        await store.save_review(replace(REVIEW, id="nope"), ENTRY)
    assert await store.audit_entries() == []


async def test_findings_get_an_id_and_keep_their_order_and_everything_in_them(store: SqlReviewStore) -> None:
    first, second = await store.save_findings("group/project", 12, [FINDING, replace(FINDING, fingerprint="f2")], ENTRY)
    assert first.id != second.id
    assert await store.findings("group/project", 12) == [first, second]
    assert first == replace(FINDING, id=first.id)
    assert await store.finding(second.id) == ("group/project", 12, second)
    fixed = replace(first, state=FindingState.FIXED, answer="it is gone")
    (third, kept) = await store.save_findings("group/project", 12, [replace(FINDING, fingerprint="f3"), fixed])
    assert kept == fixed
    assert [one.fingerprint for one in await store.findings("group/project", 12)] == ["f1", "f2", "f3"]
    assert await store.findings("group/project", 13) == []
    await store.save_findings("a/b", 1, [FINDING])
    assert [(project, iid) for project, iid, _ in await store.all_findings()] == [
        ("a/b", 1),
        *[("group/project", 12)] * 3,
    ]
    assert [one.id for _, _, one in await store.all_findings("group/project")] == [first.id, second.id, third.id]


@pytest.mark.parametrize("stale", [FindingState.OPEN, FindingState.FIXED, FindingState.DISPUTED])
async def test_r28_a_review_that_was_at_work_meanwhile_does_not_undo_a_dismissal(
    store: SqlReviewStore, stale: FindingState
) -> None:
    (finding,) = await store.save_findings("g/p", 1, [FINDING])
    dismissed = replace(finding, state=FindingState.DISMISSED, answer="dismissed by @ada: no")
    await store.save_findings("g/p", 1, [dismissed])
    (told,) = await store.save_findings("g/p", 1, [replace(finding, state=stale, answer="stale", discussion_id="d")])
    assert told == replace(dismissed, discussion_id="d")
    assert await store.findings("g/p", 1) == [told]


async def test_r27_a_dispute_is_answered_by_a_later_state_and_not_lost_to_a_stale_one(store: SqlReviewStore) -> None:
    (finding,) = await store.save_findings("g/p", 1, [FINDING])
    disputed = replace(finding, state=FindingState.DISPUTED, answer="@ada: it cannot happen")
    await store.save_findings("g/p", 1, [disputed])
    assert await store.save_findings("g/p", 1, [replace(finding, answer="the flagged code is unchanged")]) == [disputed]
    stood = replace(disputed, answer="it can: see line 3")
    assert await store.save_findings("g/p", 1, [stood]) == [stood]
    fixed = replace(disputed, state=FindingState.FIXED, answer="gone")
    assert await store.save_findings("g/p", 1, [fixed]) == [fixed]


async def test_findings_and_their_audit_are_kept_together_or_not_at_all(store: SqlReviewStore, tmp_path: Path) -> None:
    (tmp_path / "audit.key").write_bytes(b"too short")
    (tmp_path / "audit.key").chmod(0o600)
    with pytest.raises(Exception, match="is no key"):
        await store.save_findings("g/p", 1, [FINDING], ENTRY)
    assert await store.findings("g/p", 1) == []


async def test_a_part_is_kept_until_it_is_kept_anew(store: SqlReviewStore) -> None:
    assert await store.part("r1", "find a.py") is None
    await store.keep_part("r1", "find a.py", {"found": [1, None, "\udcff"]})
    await store.keep_part("r1", "find \udcff\x00", [])
    await store.keep_part("r2", "find a.py", 0)
    assert await store.part("r1", "find a.py") == {"found": [1, None, "\udcff"]}
    await store.keep_part("r1", "find a.py", "anew")
    assert await store.part("r1", "find a.py") == "anew"
    assert await store.part("r1", "find \udcff\x00") == []
    assert await store.part("r2", "find a.py") == 0


async def test_a_policy_is_changed_with_its_audit_and_not_over_somebody_elses_change(store: SqlReviewStore) -> None:
    assert await store.settings("group") == {}
    entry = replace(ENTRY, action="policy", project="group", iid=0)
    await store.change_settings("group", {"block_on": "major"}, entry, before={})
    with pytest.raises(Conflict, match="just changed the policy"):
        await store.change_settings("group", {"block_on": "info"}, entry, before={})
    assert await store.settings("group") == {"block_on": "major"}
    await store.change_settings("", {"round_limit": 3}, replace(entry, project=""))
    assert await store.all_settings() == {"group": {"block_on": "major"}, "": {"round_limit": 3}}
    assert len(await store.audit_entries()) == 2


async def test_the_audit_is_asked_for_by_project_request_and_period(store: SqlReviewStore) -> None:
    for number in range(1, 5):
        project = "other/one" if number == 4 else "group/project"
        kept = await store.audit(replace(ENTRY, at=float(number), project=project, iid=number % 2 + 1))
        assert kept.seq == number
        assert kept.hash
    assert [one.seq for one in await store.audit_entries("group/project")] == [1, 2, 3]
    assert [one.seq for one in await store.audit_entries("group/project", 2)] == [1, 3]
    assert [one.seq for one in await store.audit_entries(since=2.0, until=4.0)] == [2, 3]
    assert [one.seq for one in await store.audit_entries(after=3)] == [4]
    assert replace((await store.audit_entries())[0], seq=0, previous="", hash="") == replace(ENTRY, at=1.0, iid=2)


async def test_the_audit_is_looked_through_from_its_end_by_actor_and_action(store: SqlReviewStore) -> None:
    for number in range(1, 7):
        actor, action = ("bob" if number in {1, 6} else "Bob"), ("dismiss" if number < 4 else "override")
        # What only looks like an actor within the details is none.
        details = {"deep": {"actor": "bob", "action": "dismiss"}, "said": '"actor":"bob"'}
        await store.audit(replace(ENTRY, at=float(number), actor=actor, action=action, details=details))
    assert [one.seq for one in await store.audit_lines(limit=2)] == [6, 5]
    assert [one.seq for one in await store.audit_lines(actor="bob", limit=2)] == [6, 1]
    assert [one.seq for one in await store.audit_lines(["group/project"], actor="bob", before=6, limit=1)] == [1]
    assert [one.seq for one in await store.audit_lines(action="dismiss")] == [3, 2, 1]
    assert [one.seq for one in await store.audit_lines(since=2.0, until=4.0, iid=12)] == [3, 2]
    for none in (
        store.audit_lines([]),
        store.audit_lines(actor="b_b"),
        store.audit_lines(actor='b"%'),
        store.audit_lines(iid=1),
    ):
        assert list(await none) == []


WRITE = """
import asyncio, sys
from pathlib import Path
from mergewright.domain.review import AuditEntry
from mergewright.store.audit import AuditReport
from mergewright.store.reviews import SqlReviewStore
from mergewright.store.sql import open_store

async def main():
    store = open_store(sys.argv[1])
    reviews = SqlReviewStore(store, Path(sys.argv[2]))
    for number in range(25):
        await reviews.audit(AuditEntry(1.0 + number, sys.argv[3], "review", "g/p"))
    await store.close()

asyncio.run(main())
"""


def test_r33_the_chain_holds_under_writers_in_several_processes(database: str, tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    command = [sys.executable, "-c", WRITE, database, str(key)]
    writers = [subprocess.Popen([*command, str(number)]) for number in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]

    async def read() -> None:
        opened = open_store(database)
        store = SqlReviewStore(opened, key)
        assert await store.verify_audit() == AuditReport(75)
        entries = await store.audit_entries()
        assert [one.seq for one in entries] == list(range(1, 76))
        assert {one.actor for one in entries} == {"0", "1", "2"}
        await opened.close()

    asyncio.run(read())


@pytest.mark.parametrize("statement", ["UPDATE audit SET at = 0", "DELETE FROM audit"])
async def test_r33_the_database_itself_refuses_to_change_the_audit(
    store: SqlReviewStore, sessions: SqlStore, statement: str
) -> None:
    await store.audit(ENTRY)
    with pytest.raises(sa.exc.DBAPIError, match="only ever added to"):
        await sessions.run(lambda connection: connection.exec_driver_sql(statement))
    assert await store.verify_audit() == AuditReport(1)


async def test_keeping_findings_stays_cheap_however_many_there_are(store: SqlReviewStore) -> None:
    many = [replace(FINDING, fingerprint=f"f{number}") for number in range(20)]

    async def ten(start: int) -> float:
        begun = time.perf_counter()
        for iid in range(start, start + 10):
            await store.save_findings("g/p", iid, many)
            await store.findings("g/p", iid)
        return time.perf_counter() - begun

    await ten(1)
    early = await ten(11)
    for start in range(21, 101, 10):
        await ten(start)
    assert await ten(101) < 4 * early + 0.3
