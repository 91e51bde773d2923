import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mergewright.domain.errors import Conflict
from mergewright.domain.session import Session, Subject
from mergewright.store import claims
from mergewright.store.rows import CLAIMS
from mergewright.store.sql import SqlStore, open_store

NEW = Session(id="s", flow="developer", subject=Subject.parse("g/p#1"), goal="", actor="ada", model="m")


@pytest.fixture
async def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqlStore]:
    monkeypatch.setattr(claims, "BEAT", 0.02)
    opened = open_store(tmp_path / "mergewright.db")
    await opened.create(NEW)
    yield opened
    await opened.close()


def heartbeat(store: SqlStore) -> float:
    with store.database.begin() as connection:
        return float(connection.execute(CLAIMS.select()).one().heartbeat)


def change(store: SqlStore, **values: object) -> None:
    with store.database.begin() as connection:
        connection.execute(CLAIMS.update().values(**values))


async def test_a_held_claim_is_kept_fresh(store: SqlStore) -> None:
    async with store.claim("s"):
        first = heartbeat(store)
        for _ in range(400):
            if heartbeat(store) > first:
                break
            await asyncio.sleep(0.05)
        assert heartbeat(store) > first


async def test_a_claim_of_another_machine_is_freed_by_its_silence_alone(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first holder must not notice within this test that it lost its claim.
    monkeypatch.setattr(claims, "BEAT", 60.0)
    async with store.claim("s"):
        change(store, process="elsewhere|1|1", token="theirs")
        with pytest.raises(Conflict):
            async with store.claim("s"):
                pass
        change(store, heartbeat=time.time() - claims.STALE - 1)
        async with store.claim("s"):
            pass


async def test_whoever_lost_its_claim_is_stopped(store: SqlStore) -> None:
    async def hold() -> None:
        async with store.claim("s"):
            change(store, token="theirs")
            await asyncio.sleep(30)

    with pytest.raises(Conflict, match="taken over"):
        await hold()
    with store.database.begin() as connection:
        assert connection.execute(CLAIMS.select()).one().token == "theirs"


async def test_a_cancelled_holder_is_cancelled_and_lets_go(store: SqlStore) -> None:
    async def hold() -> None:
        async with store.claim("s"):
            await asyncio.sleep(30)

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0.1)
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder
    async with store.claim("s"):
        pass
