"""What is counted in the database for whoever looks after a server."""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from mergewright.domain.session import Event, Session
from mergewright.store.reviews import FINDINGS, REVIEWS
from mergewright.store.rows import EVENTS, SESSIONS, event_from, session_from
from mergewright.store.sql import SqlStore
from mergewright.store.triggers import TRIGGERS
from mergewright.store.workers import alive

SELDOM = 30.0
"""Seconds for which the counts of all reviews and findings are good."""
MARGIN = 60.0
"""Seconds by which the clocks of two machines may differ."""
PIECE = 2_000
"""Events that are read at a time."""


@dataclass(frozen=True, slots=True)
class Census:
    """How many there are of everything that is kept."""

    sessions: Mapping[tuple[str, str], int]
    """By flow and status."""
    triggers: Mapping[str, int]
    """What waits, by its kind."""
    oldest: float
    """When the oldest of it came; 0 where nothing waits."""
    workers: int
    verdicts: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """By severity and state."""


class Counting:
    """Counts, and reads on in the logs of all sessions from where it was, whoever writes them."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._since = time.time()
        self._looked = self._since
        self._read: dict[str, int] = {}
        """How far the log of each session was read."""
        self._slow: tuple[float, Mapping[str, int], Mapping[tuple[str, str], int]] = (0.0, {}, {})

    async def census(self) -> Census:
        """Count what is there now."""
        if time.monotonic() - self._slow[0] > SELDOM or not self._slow[0]:
            verdicts, findings = await self._store.run(_reviews)
            self._slow = (time.monotonic(), verdicts, findings)
        return await self._store.run(lambda connection: _census(connection, *self._slow[1:]))

    async def read_on(self, take: Callable[[Session, Event], None]) -> None:
        """Hand on each event that was written since this began and was not handed on before."""
        looked = time.time()
        moving = SESSIONS.c.status.not_in(["finished", "failed", "stopped"])
        query = SESSIONS.select().where(sa.or_(moving, SESSIONS.c.updated_at > self._looked - MARGIN))
        rows = await self._store.run(lambda connection: connection.execute(query).all())
        for row in rows:
            session = session_from(row)
            while self._read.get(session.id, 0) < row.last_seq:
                events = await self._more(session.id)
                last = events[-1].seq if events else 0
                # Where nothing is left, what is older than this counting need not be looked at again.
                self._read[session.id] = last if len(events) == PIECE else max(last, row.last_seq)
                for event in events:
                    take(session, event)
        self._looked = looked

    async def _more(self, session: str) -> Sequence[Event]:
        query = EVENTS.select().where(EVENTS.c.session == session, EVENTS.c.seq > self._read.get(session, 0))
        query = query.where(EVENTS.c.at >= self._since).order_by(EVENTS.c.seq).limit(PIECE)
        return await self._store.run(lambda connection: [event_from(row) for row in connection.execute(query)])


def _census(connection: sa.Connection, verdicts: Mapping[str, int], findings: Mapping[tuple[str, str], int]) -> Census:
    by = (SESSIONS.c.flow, SESSIONS.c.status)
    sessions = {(row[0], row[1]): row[2] for row in connection.execute(sa.select(*by, sa.func.count()).group_by(*by))}
    waiting = [json.loads(body) for body in connection.execute(sa.select(TRIGGERS.c.body)).scalars()]
    oldest = min((one["at"] for one in waiting), default=0.0)
    kinds = Counter(str(one["kind"]) for one in waiting)
    return Census(sessions, kinds, oldest, alive(connection), verdicts, findings)


def _reviews(connection: sa.Connection) -> tuple[dict[str, int], dict[tuple[str, str], int]]:
    verdict, severity = _part(connection, REVIEWS.c.body, "verdict"), _part(connection, FINDINGS.c.body, "severity")
    told = connection.execute(sa.select(verdict, sa.func.count()).group_by(verdict))
    by = (severity, FINDINGS.c.state)
    found = connection.execute(sa.select(*by, sa.func.count()).group_by(*by))
    return {row[0] or "none": row[1] for row in told}, {(row[0], row[1]): row[2] for row in found}


def _part(connection: sa.Connection, column: "sa.Column[str]", name: str) -> sa.ColumnElement[str]:
    if connection.dialect.name == "sqlite":
        return sa.func.json_extract(column, sa.literal_column(f"'$.{name}'"), type_=sa.Text)
    # Not as JSON: PostgreSQL refuses to take apart what quotes a NUL. A quotation mark in a text is always escaped.
    return sa.func.substring(column, sa.literal_column(f'\'"{name}":"([a-z_]+)"\''), type_=sa.Text)
