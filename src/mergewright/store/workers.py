"""Which processes take up work: a row each, which a living process keeps fresh."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import sqlalchemy as sa

from mergewright.domain.errors import NoDatabase
from mergewright.store.process import is_gone, this_process
from mergewright.store.sql import SqlStore

_tables = sa.MetaData()
WORKERS = sa.Table(
    "workers",
    _tables,
    sa.Column("id", sa.Text),
    sa.Column("process", sa.Text),
    sa.Column("heartbeat", sa.Double),
)
BEAT = 10.0
STALE = 45.0
"""Seconds without a sign of life after which a worker counts as dead."""


@asynccontextmanager
async def counted(store: SqlStore) -> AsyncIterator[None]:
    """Count this process as a worker while the body runs."""
    row = {"id": secrets.token_hex(8), "process": this_process()}
    await store.run(lambda connection: _come(connection, row))
    beating = asyncio.create_task(_beat(store, row))
    try:
        yield
    finally:
        beating.cancel()
        await asyncio.wait({beating})
        await store.run(lambda connection: connection.execute(WORKERS.delete().where(WORKERS.c.id == row["id"])))


def alive(connection: sa.Connection) -> int:
    """Count the workers that gave a sign of life lately."""
    fresh = WORKERS.select().where(WORKERS.c.heartbeat > time.time() - STALE)
    return sum(not is_gone(row.process) for row in connection.execute(fresh))


async def _beat(store: SqlStore, row: dict[str, str]) -> None:
    while True:
        await asyncio.sleep(BEAT)
        with suppress(NoDatabase):
            await store.run(lambda connection: _come(connection, row))


def _come(connection: sa.Connection, row: dict[str, str]) -> None:
    now = time.time()
    fresh = WORKERS.update().where(WORKERS.c.id == row["id"]).values(heartbeat=now)
    if not connection.execute(fresh).rowcount:
        connection.execute(WORKERS.delete().where(WORKERS.c.heartbeat < now - 10 * STALE))
        connection.execute(WORKERS.insert().values(**row, heartbeat=now))
