"""The database goes away, for a moment or for long, under those who work with it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mergewright.domain.errors import NoDatabase
from mergewright.domain.session import EventKind, Session, Subject
from mergewright.server.health import _failure
from mergewright.store import claims, sql
from mergewright.store.database import open_database
from mergewright.store.sql import SqlStore, open_store
from tests.support.databases import PostgreSQL, postgresql_server

NEW = Session(id="s", flow="developer", subject=Subject.parse("g/p#1"), goal="", actor="ada", model="m")


@pytest.fixture
def server() -> Iterator[PostgreSQL]:
    with postgresql_server() as started:
        yield started


@pytest.fixture
async def store(server: PostgreSQL) -> AsyncIterator[SqlStore]:
    opened = open_store(server.url)
    await opened.create(NEW)
    yield opened
    await opened.close()


async def append(store: SqlStore, text: str) -> None:
    await store.append("s", EventKind.PROGRESS, {"text": text}, turn=1)


async def texts(store: SqlStore) -> list[str]:
    return [event.data["text"] for event in await store.events("s")]


async def test_a_restart_of_the_database_costs_its_users_nothing_but_time(server: PostgreSQL, store: SqlStore) -> None:
    await append(store, "before")
    server.stop()
    server.start()
    await append(store, "after")
    server.stop()
    waiting = asyncio.create_task(append(store, "meanwhile"))
    await asyncio.sleep(0.3)
    server.start()
    await waiting
    assert await texts(store) == ["before", "after", "meanwhile"]


async def test_a_database_that_stays_away_is_waited_for_once_and_then_named(
    server: PostgreSQL, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "PATIENCE", 0.8)
    server.stop()
    loop = asyncio.get_running_loop()
    began = loop.time()
    failed = await asyncio.gather(*(append(store, "x") for _ in range(20)), return_exceptions=True)
    assert {type(error) for error in failed} == {NoDatabase}
    # Each would wait as long as the first, and the last half a minute.
    assert loop.time() - began < 15
    server.start()
    await append(store, "back")
    assert await texts(store) == ["back"]


async def test_whoever_holds_a_session_keeps_it_while_the_database_is_away(
    server: PostgreSQL, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "PATIENCE", 0.2)
    monkeypatch.setattr(claims, "BEAT", 0.1)
    async with store.claim("s"):
        server.stop()
        with pytest.raises(NoDatabase):
            await append(store, "lost")
        await asyncio.sleep(1)
        server.start()
        await append(store, "kept")
    assert await texts(store) == ["kept"]


async def test_whoever_hears_nothing_for_too_long_stops_as_others_may_go_on_by_then(
    server: PostgreSQL, store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "PATIENCE", 0.2)
    monkeypatch.setattr(claims, "BEAT", 0.1)
    monkeypatch.setattr(claims, "STALE", 0.5)

    async def hold() -> None:
        async with store.claim("s"):
            server.stop()
            await asyncio.sleep(30)

    with pytest.raises(NoDatabase):
        await hold()
    server.start()


async def test_a_database_that_answers_but_refuses_is_no_readiness_and_no_crash(store: SqlStore) -> None:
    asked = store.run(lambda connection: connection.exec_driver_sql("SELECT 1 FROM taken_away"))
    assert await _failure(lambda: asked) == "the database refuses: ProgrammingError"


def test_a_database_that_is_not_there_is_told_in_a_sentence_without_its_password() -> None:
    with pytest.raises(NoDatabase, match="gives no answer: connection failed") as told:
        open_database("postgresql+psycopg://mergewright:geheim77@127.0.0.1:1/m")
    assert "geheim77" not in f"{told.value.message}{told.value.hint}"
    assert "MERGEWRIGHT_DATABASE_URL" in told.value.hint


def test_a_file_where_none_can_be_made_is_told_in_a_sentence() -> None:
    with pytest.raises(NoDatabase, match=r"`/proc/nobody/m.db` cannot be used: No such file or directory"):
        open_database("sqlite:////proc/nobody/m.db")


def test_a_file_that_is_no_database_is_told_in_a_sentence_and_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "m.db"
    file.write_text("not a database\n" * 100)
    with pytest.raises(NoDatabase, match="file is not a database"):
        open_database(file)
    assert file.read_text() == "not a database\n" * 100
