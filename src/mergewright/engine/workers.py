"""Which workers are alive: a table in which each one signs every few seconds."""

import asyncio
import time
from collections.abc import Callable, Iterable

import sqlalchemy as sa

BEAT = 5.0
STALE = 30.0
"""Seconds of silence after which a worker counts as dead, wherever it runs."""

_WORKERS = sa.Table(
    "engine_workers",
    sa.MetaData(),
    sa.Column("executor", sa.Text, primary_key=True),
    sa.Column("heartbeat", sa.Double, nullable=False),
)


def sign(database: sa.Engine, executor: str) -> None:
    """Say that this worker lives; also after others had given it up."""
    with database.begin() as connection:
        signed = _WORKERS.update().where(_WORKERS.c.executor == executor).values(heartbeat=time.time())
        if connection.execute(signed).rowcount == 0:
            connection.execute(_WORKERS.insert().values(executor=executor, heartbeat=time.time()))


def sign_off(database: sa.Engine, executors: Iterable[str]) -> None:
    """Take workers that have ended from the table."""
    with database.begin() as connection:
        connection.execute(_WORKERS.delete().where(_WORKERS.c.executor.in_(list(executors))))


def dead(database: sa.Engine, executors: Iterable[str], gone: Callable[[str], bool]) -> list[str]:
    """Pick those that are certainly gone, have left, or gave no sign of life for too long."""
    with database.begin() as connection:
        fresh = sa.select(_WORKERS.c.executor).where(_WORKERS.c.heartbeat > time.time() - STALE)
        signing = set(connection.execute(fresh).scalars())
    return sorted(executor for executor in executors if executor not in signing or gone(executor))


def prepare(database: sa.Engine) -> None:
    """Make the table where it is missing, and forget the workers that fell silent: they count as dead without it."""
    with database.begin() as connection:
        connection.execute(sa.schema.CreateTable(_WORKERS, if_not_exists=True))
        connection.execute(_WORKERS.delete().where(_WORKERS.c.heartbeat < time.time() - STALE))


async def keep_signing(database: sa.Engine, executor: str) -> None:
    """Sign until cancelled."""
    while True:
        await asyncio.sleep(BEAT)
        await asyncio.to_thread(sign, database, executor)
