import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mergewright.domain.errors import WrongUse
from mergewright.domain.session import EventKind, Session, Subject
from mergewright.store.database import MIGRATIONS, open_database
from mergewright.store.sql import new_id, open_store

OPEN = "import sys; from mergewright.store.database import open_database; open_database(sys.argv[1]).dispose()"


def test_processes_that_open_a_new_database_at_once_make_one_schema(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    openers = [subprocess.Popen([sys.executable, "-c", OPEN, path]) for _ in range(3)]
    assert [opener.wait() for opener in openers] == [0, 0, 0]
    database = open_database(path)
    with database.begin() as connection:
        versions = connection.exec_driver_sql("SELECT version FROM schema_version").scalars().all()
        assert versions == list(range(1, len(MIGRATIONS) + 1))
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    database.dispose()


def test_nobody_else_may_read_the_database(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/private.db")
    with database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM claims")
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}
    database.dispose()


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    database = open_database(tmp_path / "m.db")
    with database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO schema_version VALUES (999)")
    database.dispose()
    with pytest.raises(WrongUse, match="version 999"):
        open_database(tmp_path / "m.db")


def test_new_ids_are_not_repeated() -> None:
    assert len({new_id() for _ in range(200)}) == 200


async def test_an_append_stays_cheap_however_long_the_log_is(tmp_path: Path) -> None:
    store = open_store(tmp_path / "m.db")
    subject = Subject.parse("g/p#1")
    session = await store.create(Session(id="", flow="f", subject=subject, goal="", actor="a", model="m"))

    async def hundred() -> float:
        begun = time.perf_counter()
        for _ in range(100):
            await store.append(session.id, EventKind.MESSAGE, {"text": "x" * 2000}, turn=1)
        return time.perf_counter() - begun

    first = await hundred()
    for _ in range(4):
        last = await hundred()
    # A cost that grew with the log would be five times the first by now; the rest is room for a busy machine.
    assert last < first * 3 + 0.2
    await store.close()
