"""Who works on a session right now: a lease that a living process keeps fresh."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar, cast

import sqlalchemy as sa

from mergewright.domain.errors import Conflict
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
    await run(lambda connection: _take(connection, session_id, token))
    body = cast("asyncio.Task[Any]", asyncio.current_task())
    beat = asyncio.create_task(_beat(run, session_id, token))
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
        await run(lambda connection: connection.execute(CLAIMS.delete().where(CLAIMS.c.token == token)))


async def _beat(run: Transaction, session_id: str, token: str) -> None:
    fresh = CLAIMS.update().where(CLAIMS.c.token == token)
    while True:
        await asyncio.sleep(BEAT)
        if await run(lambda connection: connection.execute(fresh.values(heartbeat=time.time())).rowcount) == 0:
            raise Conflict(f"Session `{session_id}` was taken over while this process gave no sign of life")


def _take(connection: sa.Connection, session_id: str, token: str) -> None:
    read_row(connection, session_id)
    mine = {"token": token, "process": this_process(), "heartbeat": time.time()}
    held = connection.execute(CLAIMS.select().where(CLAIMS.c.session == session_id)).first()
    if held is None:
        try:
            connection.execute(CLAIMS.insert().values(session=session_id, **mine))
        except sa.exc.IntegrityError as error:
            raise _taken(session_id) from error
        return
    if not is_gone(held.process) and held.heartbeat > time.time() - STALE:
        raise _taken(session_id)
    # Only the very hold that was found dead is replaced: of two who saw it, one wins.
    seized = CLAIMS.update().where(CLAIMS.c.session == session_id, CLAIMS.c.token == held.token)
    if connection.execute(seized.values(**mine)).rowcount == 0:
        raise _taken(session_id)


def _taken(session_id: str) -> Conflict:
    return Conflict(
        f"Another process works on session `{session_id}`", hint=f"mergewright sessions follow {session_id}"
    )
