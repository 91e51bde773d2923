"""Deliveries of webhooks and the triggers they bring: kept at once, each piece of work once, by one worker."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from mergewright.domain.errors import MergewrightError
from mergewright.domain.session import JSON, Session
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
SELDOM = 600.0
"""Seconds between two looks for deliveries that are old enough to be forgotten."""
TOGETHER = 100
"""Deliveries that are kept in one transaction, at most."""
_INSERTS: dict[str, Callable[[sa.Table], Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
QUIET = 1.5
"""Seconds without a further push before a pushed head is reviewed: of a burst only the newest counts."""


class SqlTriggerStore(TriggerStore):
    """Triggers in the same database as sessions."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._waiting: list[_Parcel] = []
        self._keeping: asyncio.Task[None] | None = None
        self._forgot = 0.0

    async def deliver(self, delivery: str, triggers: Sequence[Trigger]) -> bool:
        kept = asyncio.get_running_loop().create_future()
        self._waiting.append(_Parcel(delivery, _rows(triggers), kept))
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.ensure_future(self._keep())
        new: bool = await kept
        return new

    async def _keep(self) -> None:
        """Keep what waits: what comes in while a transaction runs goes into the next one together."""
        while self._waiting:
            parcels, self._waiting = self._waiting[:TOGETHER], self._waiting[TOGETHER:]
            try:
                await self._forget_old()
                told = await self._store.run(partial(_keep_all, parcels=parcels))
            except (MergewrightError, sa.exc.SQLAlchemyError, RuntimeError) as error:
                for parcel in parcels:
                    if parcel.kept is not None and not parcel.kept.done():
                        parcel.kept.set_exception(error)
                continue
            for parcel, new in zip(parcels, told, strict=True):
                if parcel.kept is not None and not parcel.kept.done():
                    parcel.kept.set_result(new)

    async def _forget_old(self) -> None:
        now = time.time()
        if now - self._forgot < SELDOM:
            return
        self._forgot = now
        old = DELIVERIES.delete().where(DELIVERIES.c.at < now - KEPT)
        await self._store.run(lambda connection: connection.execute(old))

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
            counted = TRIGGERS.update().where(_this(trigger)).values(tries=TRIGGERS.c.tries + 1)
            held = seize(connection, LANES.c.lane, trigger.lane, token)
            if held and connection.execute(counted).rowcount == 0:
                connection.execute(LANES.delete().where(LANES.c.token == token))
                return False
            return held

        if not await self._store.run(take):
            yield False
            return
        try:
            async with holding(self._store.run, LANES, token, what=f"the work on `{trigger.subject}`"):
                yield True
        except asyncio.CancelledError:
            # A server that is ended in good order has tried nothing in vain; the work on a session goes by its name.
            ours = TRIGGERS.c.number == trigger.id
            back = TRIGGERS.update().where(ours, TRIGGERS.c.tries > 0).values(tries=TRIGGERS.c.tries - 1)
            await self._store.run(lambda connection: connection.execute(back))
            raise

    async def again(self, trigger: Trigger, *, due: float) -> None:
        later = TRIGGERS.update().where(_this(trigger)).values(due=due)
        await self._store.run(lambda connection: connection.execute(later))

    async def done(self, trigger: Trigger) -> None:
        gone = TRIGGERS.delete().where(_this(trigger))
        await self._store.run(lambda connection: connection.execute(gone))

    async def instead(self, trigger: Trigger, other: Trigger) -> None:
        """Put another trigger in the place of one, in one transaction."""

        def turn(connection: sa.Connection) -> None:
            if connection.execute(TRIGGERS.delete().where(_this(trigger))).rowcount:
                _keep_all(connection, [_Parcel("", _rows([other]))])

        await self._store.run(turn)

    def becomes(self, trigger: Trigger) -> Callable[[sa.Connection, Session], None]:
        """Give what turns a trigger into work on the session that is kept in the same transaction."""

        def turn(connection: sa.Connection, session: Session) -> None:
            connection.execute(TRIGGERS.delete().where(_this(trigger)))
            work = replace(trigger, kind=TriggerKind.WORK, session=session.id)
            # The first try at it goes on in the hold on the trigger.
            values = {"name": work.key, "number": work.id, "body": codec.write(work), "tries": 1, "due": 0.0}
            connection.execute(TRIGGERS.insert().values(**values))

        return turn


def keep(connection: sa.Connection, delivery: str, triggers: Sequence[Trigger]) -> bool:
    """Keep a delivery and its triggers in a transaction; False when the delivery was here before."""
    (new,) = _keep_all(connection, [_Parcel(delivery, _rows(triggers))])
    return new


@dataclass(frozen=True, slots=True)
class _Parcel:
    """A delivery, and its triggers as they are kept."""

    delivery: str
    rows: Sequence[dict[str, JSON]]
    kept: "asyncio.Future[bool] | None" = None


def _rows(triggers: Sequence[Trigger]) -> list[dict[str, JSON]]:
    now = time.time()
    rows = []
    for trigger in triggers:
        due = now + QUIET if trigger.cause is Cause.PUSHED else trigger.due
        body = codec.write(replace(trigger, at=trigger.at or now))
        rows.append({"name": trigger.key, "body": body, "tries": 0, "due": due})
    return rows


def _keep_all(connection: sa.Connection, parcels: Sequence[_Parcel]) -> list[bool]:
    """Keep several deliveries in one transaction; says of each whether it is new."""
    alone(connection, DELIVERING)
    now, insert = time.time(), _INSERTS[connection.dialect.name]
    named = {parcel.delivery: {"id": parcel.delivery, "at": now} for parcel in parcels if parcel.delivery}
    fresh: set[str] = set()
    if named:
        added = insert(DELIVERIES).on_conflict_do_nothing(index_elements=["id"]).returning(DELIVERIES.c.id)
        fresh = set(connection.execute(added, list(named.values())).scalars())
    told: list[bool] = []
    rows: dict[str, dict[str, JSON]] = {}
    for parcel in parcels:
        told.append(new := not parcel.delivery or parcel.delivery in fresh)
        fresh.discard(parcel.delivery)
        # The newest of a name goes to the end: its number is the highest.
        for row in parcel.rows if new else ():
            rows.pop(row["name"], None)
            rows[row["name"]] = row
    if rows:
        newest = connection.execute(sa.select(sa.func.max(TRIGGERS.c.number))).scalar()
        number = max(time.time_ns() // 1_000, (newest or 0) + 1)
        put = insert(TRIGGERS)
        changed = {name: put.excluded[name] for name in ("number", "body", "tries", "due")}
        put = put.on_conflict_do_update(index_elements=["name"], set_=changed)
        connection.execute(put, [{**row, "number": number + count} for count, row in enumerate(rows.values())])
    return told


def _this(trigger: Trigger) -> sa.ColumnElement[bool]:
    return sa.and_(TRIGGERS.c.name == trigger.key, TRIGGERS.c.number == trigger.id)


def _trigger(row: Row) -> Trigger:
    return replace(codec.read(Trigger, row.body), id=row.number, tries=row.tries, due=row.due)
