"""Somebody who can write to the database tells another story than the one that happened."""

import asyncio
import json
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mergewright.domain.errors import WrongUse
from mergewright.domain.review import AuditEntry
from mergewright.store import audit, codec
from mergewright.store.audit import AuditReport
from mergewright.store.reviews import SqlReviewStore
from mergewright.store.sql import open_store

ENTRY = AuditEntry(1.5, "ada", "override", "group/project", 12, reason="we ship today", policy={"block_on": "major"})
LINES = 5


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlReviewStore]:
    opened = open_store(tmp_path / "m.db")
    reviews = SqlReviewStore(opened, tmp_path / "keys" / "audit.key")
    (tmp_path / "keys").mkdir()
    for number in range(LINES):
        await reviews.audit(replace(ENTRY, at=float(number)))
    yield reviews
    await opened.close()


@pytest.fixture
def hand(tmp_path: Path, store: SqlReviewStore) -> sqlite3.Connection:
    """A connection of somebody who may write to the file."""
    del store
    return sqlite3.connect(tmp_path / "m.db", isolation_level=None)


def unguarded(hand: sqlite3.Connection) -> sqlite3.Connection:
    for verb in ("update", "delete"):
        hand.execute(f"DROP TRIGGER audit_no_{verb}")
    return hand


def lines(hand: sqlite3.Connection) -> list[tuple[int, float, str, int, str]]:
    return list(hand.execute("SELECT seq, at, project, iid, body FROM audit ORDER BY seq"))


def chained(hand: sqlite3.Connection, kept: list[tuple[int, float, str, int, str]]) -> None:
    """Write these lines with a chain that holds, as far as that goes without the key."""
    unguarded(hand).execute("DELETE FROM audit")
    previous = ""
    for seq, at, project, iid, body in kept:
        digest = audit._digest(seq, previous, body)
        hand.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", (seq, at, project, iid, body, previous, digest))
        previous = digest


async def test_an_audit_that_nobody_touched_is_whole(store: SqlReviewStore) -> None:
    assert await store.verify_audit() == AuditReport(LINES)


@pytest.mark.parametrize("statement", ["UPDATE audit SET at = 9", "DELETE FROM audit", "DELETE FROM audit WHERE seq=5"])
async def test_r33_the_database_itself_refuses_to_change_a_line(
    store: SqlReviewStore, hand: sqlite3.Connection, statement: str
) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
        hand.execute(statement)
    assert (await store.verify_audit()).problem == ""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit SET body = replace(body, 'ship today', 'ship never') WHERE seq = 3", "line 3 was changed"),
        ("UPDATE audit SET body = x'00' WHERE seq = 3", "line 3 was changed"),
        ("UPDATE audit SET project = 'other/one' WHERE seq = 3", "the columns of line 3 were changed"),
        ("UPDATE audit SET at = 'soon' WHERE seq = 3", "the columns of line 3 were changed"),
        ("UPDATE audit SET hash = '0' WHERE seq = 3", "line 3 was changed"),
        ("UPDATE audit SET previous = '0' WHERE seq = 3", "line 3 does not follow"),
        ("DELETE FROM audit WHERE seq = 3", "line 3 is missing: the next one is 4"),
        ("DELETE FROM audit WHERE seq = 1", "line 1 is missing"),
        ("DELETE FROM audit WHERE seq > 3", "the end was cut off: 5 lines were sealed, 3 are there"),
        ("DELETE FROM audit", "the end was cut off: 5 lines were sealed, 0 are there"),
        (
            "INSERT INTO audit SELECT 6, at, project, iid, body, hash, hash FROM audit WHERE seq = 5",
            "line 6 was changed",
        ),
        ("INSERT INTO audit SELECT -1, at, project, iid, body, '', hash FROM audit WHERE seq = 5", "line 1 is missing"),
        (
            "UPDATE audit SET seq = CASE seq WHEN 2 THEN 30 ELSE 20 END WHERE seq IN (2, 3);"
            "UPDATE audit SET seq = seq / 10 WHERE seq > 5",
            "line 2 does not follow",
        ),
        ("UPDATE audit_head SET seq = 4", "the sealed end was changed"),
        ("UPDATE audit_head SET seal = 'é'", "the sealed end was changed"),
        ("DELETE FROM audit_head", "the sealed end is missing"),
        ("DELETE FROM audit; DELETE FROM audit_head", "the sealed end is missing"),
    ],
)
async def test_r33_what_was_changed_by_hand_is_found(
    store: SqlReviewStore, hand: sqlite3.Connection, statement: str, said: str
) -> None:
    unguarded(hand).executescript(statement)
    assert said in (await store.verify_audit()).problem


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit WHERE seq > 3;"
        "UPDATE audit_head SET seq = 3, hash = (SELECT hash FROM audit WHERE seq = 3), seal = 'x'",
        "DELETE FROM audit WHERE seq > 3; DELETE FROM audit_head",
        "DELETE FROM audit; DELETE FROM audit_head",
        "UPDATE audit SET body = replace(body, 'today', 'never') WHERE seq = 3",
        "DELETE FROM audit WHERE seq > 3",
    ],
)
async def test_r33_the_next_good_line_does_not_cover_up_what_was_done(
    store: SqlReviewStore, hand: sqlite3.Connection, statement: str
) -> None:
    unguarded(hand).executescript(statement)
    await store.audit(ENTRY)
    await store.audit(ENTRY)
    assert (await store.verify_audit()).problem


async def test_r33_a_line_replaced_past_the_guard_is_found(store: SqlReviewStore, hand: sqlite3.Connection) -> None:
    hand.execute("INSERT OR REPLACE INTO audit SELECT seq, 99, project, iid, body, previous, hash FROM audit LIMIT 1")
    assert "line 1" in (await store.verify_audit()).problem


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: [(*kept[0][:4], kept[0][4].replace("ada", "bob")), *kept[1:]],
        lambda kept: kept[:3],
        lambda kept: [*kept, (6, *kept[0][1:])],
        lambda kept: [],
        lambda kept: [(1, *kept[1][1:]), (2, *kept[0][1:]), *kept[2:]],
    ],
)
async def test_r33_another_history_with_a_whole_chain_is_found_by_its_seal(
    store: SqlReviewStore, hand: sqlite3.Connection, change: Callable[..., list[tuple[int, float, str, int, str]]]
) -> None:
    chained(hand, change(lines(hand)))
    assert "the end was cut off" in (await store.verify_audit()).problem


@pytest.mark.parametrize("body", ["", "[]", "{}", "null", "x"])
async def test_a_line_that_is_none_does_not_stop_the_walk_with_an_error(
    store: SqlReviewStore, hand: sqlite3.Connection, body: str
) -> None:
    chained(hand, [(1, 0.0, "g/p", 0, body), *lines(hand)[1:]])
    assert await store.verify_audit() == AuditReport(0, "line 1 was put in by somebody else")


async def test_r33_an_older_copy_of_the_database_is_found(store: SqlReviewStore, tmp_path: Path) -> None:
    hand = sqlite3.connect(tmp_path / "m.db")
    hand.execute("VACUUM INTO ?", (str(tmp_path / "older.db"),))
    await store.audit(replace(ENTRY, reason="the line that somebody wants to be rid of"))
    assert await store.verify_audit() == AuditReport(LINES + 1)
    older = open_store(tmp_path / "older.db")
    again = SqlReviewStore(older, tmp_path / "keys" / "audit.key")
    assert "older copy: line 6 was there" in (await again.verify_audit()).problem
    await again.audit(replace(ENTRY, reason="another line in its place"))
    await again.audit(replace(ENTRY, reason="and one more"))
    assert "line 6 was there and is not, or is another one" in (await again.verify_audit()).problem
    await older.close()


async def test_without_the_key_nothing_is_called_whole_and_no_new_key_is_made(
    store: SqlReviewStore, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "keys")
    (tmp_path / "keys").mkdir()
    assert (await store.verify_audit()).problem == "the key that seals it is missing"
    assert list((tmp_path / "keys").iterdir()) == []
    await store.audit(ENTRY)
    assert "the key is another one" in (await store.verify_audit()).problem


async def test_another_key_does_not_open_the_seal(store: SqlReviewStore, tmp_path: Path) -> None:
    (tmp_path / "keys" / "audit.key").write_bytes(bytes(32))
    assert "the key is another one" in (await store.verify_audit()).problem


async def test_a_key_that_others_can_read_is_refused(store: SqlReviewStore, tmp_path: Path) -> None:
    key = tmp_path / "keys" / "audit.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.chmod(0o644)
    with pytest.raises(WrongUse, match="others on this machine may read"):
        await store.audit(ENTRY)
    key.chmod(0o600)
    assert await store.verify_audit() == AuditReport(LINES)


async def test_a_store_in_which_nothing_happened_is_whole(tmp_path: Path) -> None:
    opened = open_store(tmp_path / "m.db")
    store = SqlReviewStore(opened, tmp_path / "audit.key")
    assert await store.verify_audit() == AuditReport(0)
    assert not (tmp_path / "audit.key").exists()
    await opened.close()


async def test_what_was_rolled_back_is_not_taken_for_the_end(store: SqlReviewStore, hand: sqlite3.Connection) -> None:
    hand.execute("CREATE TRIGGER refuse BEFORE INSERT ON audit WHEN NEW.seq = 7 BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Exception, match="no"):
        await store.save_findings("g/p", 1, [], ENTRY, ENTRY)
    assert await store.verify_audit() == AuditReport(LINES)
    await store.keep_part("r", "p", 1)
    assert await store.verify_audit() == AuditReport(LINES)


async def test_writers_at_once_leave_a_whole_audit(store: SqlReviewStore) -> None:
    await asyncio.gather(*(store.audit(replace(ENTRY, at=float(number))) for number in range(30)))
    assert await store.verify_audit() == AuditReport(LINES + 30)


def test_a_line_has_one_form_only() -> None:
    there = replace(ENTRY, details={"b": 1, "a": "é"})
    other = replace(ENTRY, details={"a": "é", "b": 1})
    assert audit._body(there) == audit._body(other)
    assert json.loads(audit._body(there)) | {"seq": 0, "previous": "", "hash": ""} == json.loads(codec.write(there))
