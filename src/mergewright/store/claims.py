"""Who works on a session right now: a lease that a living process keeps fresh."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar, cast

import sqlalchemy as sa

from mergewright.domain.errors import Conflict, NoDatabase
from mergewright.store.process import is_gone, this_process
from mergewright.store.rows import CLAIMS, read_row

T = TypeVar("T")

BEAT = 5.0
STALE = 30.0
"""Seconds without a sign of life after which a holder counts as dead, wherever it runs."""


class Transaction(Protocol):
    """Runs a piece of work in one transaction."""

    async def __call__(self, work: Callable[[sa.Connection], T]) -> T: ...


@asynccontextmanager
async def claim(run: Transaction, session_id: str) -> AsyncIterator[None]:
    """Hold a session while the body runs; the body is cancelled should the hold be lost."""
    token = secrets.token_hex(8)

    def take(connection: sa.Connection) -> None:
        read_row(connection, session_id)
        if not seize(connection, CLAIMS.c.session, session_id, token):
            raise Conflict(
                f"Another process works on session `{session_id}`", hint=f"mergewright sessions follow {session_id}"
            )

    await run(take)
    async with holding(run, CLAIMS, token, what=f"Session `{session_id}`"):
        yield


def seize(connection: sa.Connection, column: sa.Column[Any], name: str, token: str) -> bool:
    """Take the hold on a name in a table of holds; False while a living holder has it."""
    table = column.table
    mine = {"token": token, "process": this_process(), "heartbeat": time.time()}
    held = connection.execute(table.select().where(column == name)).first()
    if held is None:
        try:
            with connection.begin_nested():
                connection.execute(table.insert().values({column.name: name, **mine}))
        except sa.exc.IntegrityError:
            return False
        return True
    if lives(held.process, held.heartbeat):
        return False
    # Only the very hold that was found dead is replaced: of two who saw it, one wins.
    seized = table.update().where(column == name, table.c.token == held.token)
    return connection.execute(seized.values(**mine)).rowcount > 0


def lives(process: str, heartbeat: float) -> bool:
    """Whether a holder is at work: a process of this machine that is gone is known at once."""
    return not is_gone(process) and heartbeat > time.time() - STALE


@asynccontextmanager
async def holding(run: Transaction, table: sa.Table, token: str, *, what: str) -> AsyncIterator[None]:
    """Keep a hold fresh while the body runs, and let go; the body is cancelled should the hold be lost."""
    body = cast("asyncio.Task[Any]", asyncio.current_task())
    beat = asyncio.create_task(_beat(run, table, token, what))
    beat.add_done_callback(lambda ended: None if ended.cancelled() else body.cancel())
    try:
        yield
    except asyncio.CancelledError:
        # Where it was the beat that stopped the body, its own error tells why.
        if beat.done() and body.uncancel() == 0:
            await beat
        raise
    finally:
        beat.cancel()
        await asyncio.wait({beat})
        await run(lambda connection: connection.execute(table.delete().where(table.c.token == token)))


async def _beat(run: Transaction, table: sa.Table, token: str, what: str) -> None:
    fresh = table.update().where(table.c.token == token)
    seen = time.monotonic()
    while True:
        await asyncio.sleep(BEAT)
        try:
            held = await run(lambda connection: connection.execute(fresh.values(heartbeat=time.time())).rowcount)
        except NoDatabase:
            # From then on others, whom it may still answer, take the holder for dead.
            if time.monotonic() - seen > STALE:
                raise
            continue
        seen = time.monotonic()
        if held == 0:
            raise Conflict(f"{what} was taken over while this process gave no sign of life")
