"""Deliveries of webhooks and the triggers they bring: kept at once, each piece of work once, by one worker."""

import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import sqlalchemy as sa

from mergewright.domain.session import Session
from mergewright.domain.trigger import Cause, Trigger, TriggerKind, TriggerStore
from mergewright.store import codec
from mergewright.store.claims import holding, lives, seize
from mergewright.store.database import alone
from mergewright.store.rows import Row
from mergewright.store.sql import SqlStore

_tables = sa.MetaData()
DELIVERIES = sa.Table("deliveries", _tables, sa.Column("id", sa.Text), sa.Column("at", sa.Double))
TRIGGERS = sa.Table(
    "triggers",
    _tables,
    sa.Column("name", sa.Text),
    sa.Column("number", sa.BigInteger),
    sa.Column("body", sa.Text),
    sa.Column("tries", sa.Integer),
    sa.Column("due", sa.Double),
)
LANES = sa.Table(
    "lanes",
    _tables,
    *(sa.Column(name, sa.Text) for name in ("lane", "token", "process")),
    sa.Column("heartbeat", sa.Double),
)
DELIVERING = 760326
KEPT = 14 * 86_400.0
"""Seconds for which a delivery is known; GitLab sends one again within a day."""
QUIET = 1.5
"""Seconds without a further push before a pushed head is reviewed: of a burst only the newest counts."""


class SqlTriggerStore(TriggerStore):
    """Triggers in the same database as sessions."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def deliver(self, delivery: str, triggers: Sequence[Trigger]) -> bool:
        return await self._store.run(lambda connection: keep(connection, delivery, triggers))

    async def waiting(self) -> Sequence[Trigger]:
        query = TRIGGERS.select().order_by(TRIGGERS.c.number)
        return await self._store.run(lambda connection: [_trigger(row) for row in connection.execute(query)])

    async def ready(self) -> Sequence[Trigger]:
        def look(connection: sa.Connection) -> Sequence[Trigger]:
            due = TRIGGERS.select().where(TRIGGERS.c.due <= time.time()).order_by(TRIGGERS.c.number)
            found = [_trigger(row) for row in connection.execute(due)]
            if not found:
                return []
            held = {row.lane for row in connection.execute(LANES.select()) if lives(row.process, row.heartbeat)}
            return [trigger for trigger in found if trigger.lane not in held]

        return await self._store.run(look)

    @asynccontextmanager
    async def hold(self, trigger: Trigger) -> AsyncIterator[bool]:
        token = secrets.token_hex(8)

        def take(connection: sa.Connection) -> bool:
            # Looked at under the hold: whoever held the lane before may have done it.
            here = TRIGGERS.select().where(_this(trigger))
            held = seize(connection, LANES.c.lane, trigger.lane, token)
            if held and connection.execute(here).first() is None:
                connection.execute(LANES.delete().where(LANES.c.token == token))
                return False
            return held

        if not await self._store.run(take):
            yield False
            return
        async with holding(self._store.run, LANES, token, what=f"the work on `{trigger.subject}`"):
            yield True

    async def again(self, trigger: Trigger, *, due: float) -> None:
        later = TRIGGERS.update().where(_this(trigger)).values(tries=TRIGGERS.c.tries + 1, due=due)
        await self._store.run(lambda connection: connection.execute(later))

    async def done(self, trigger: Trigger) -> None:
        gone = TRIGGERS.delete().where(_this(trigger))
        await self._store.run(lambda connection: connection.execute(gone))

    def becomes(self, trigger: Trigger) -> Callable[[sa.Connection, Session], None]:
        """Give what turns a trigger into work on the session that is kept in the same transaction."""

        def turn(connection: sa.Connection, session: Session) -> None:
            connection.execute(TRIGGERS.delete().where(_this(trigger)))
            work = replace(trigger, kind=TriggerKind.WORK, session=session.id)
            values = {"name": work.key, "number": work.id, "body": codec.write(work), "tries": 0, "due": 0.0}
            connection.execute(TRIGGERS.insert().values(**values))

        return turn


def keep(connection: sa.Connection, delivery: str, triggers: Sequence[Trigger]) -> bool:
    """Keep a delivery and its triggers in a transaction; False when the delivery was here before."""
    alone(connection, DELIVERING)
    now = time.time()
    if delivery:
        known = connection.execute(DELIVERIES.select().where(DELIVERIES.c.id == delivery)).first()
        if known is not None:
            return False
        connection.execute(DELIVERIES.insert().values(id=delivery, at=now))
        connection.execute(DELIVERIES.delete().where(DELIVERIES.c.at < now - KEPT))
    if not triggers:
        return True
    newest = connection.execute(sa.select(sa.func.max(TRIGGERS.c.number))).scalar()
    number = max(time.time_ns() // 1_000, (newest or 0) + 1)
    for count, trigger in enumerate(triggers):
        kept = replace(trigger, id=number + count, at=trigger.at or now)
        due = now + QUIET if trigger.cause is Cause.PUSHED else trigger.due
        values = {"number": kept.id, "body": codec.write(kept), "tries": 0, "due": due}
        if not connection.execute(TRIGGERS.update().where(TRIGGERS.c.name == kept.key).values(**values)).rowcount:
            connection.execute(TRIGGERS.insert().values(name=kept.key, **values))
    return True


def _this(trigger: Trigger) -> sa.ColumnElement[bool]:
    return sa.and_(TRIGGERS.c.name == trigger.key, TRIGGERS.c.number == trigger.id)


def _trigger(row: Row) -> Trigger:
    return replace(codec.read(Trigger, row.body), tries=row.tries, due=row.due)
