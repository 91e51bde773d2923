"""Deliveries of webhooks and the triggers they bring: kept at once, each piece of work once."""

import time
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from mergewright.domain.trigger import Trigger, TriggerStore
from mergewright.store import codec
from mergewright.store.database import alone
from mergewright.store.sql import SqlStore

_tables = sa.MetaData()
DELIVERIES = sa.Table("deliveries", _tables, sa.Column("id", sa.Text), sa.Column("at", sa.Double))
TRIGGERS = sa.Table(
    "triggers",
    _tables,
    sa.Column("name", sa.Text),
    sa.Column("number", sa.BigInteger),
    sa.Column("body", sa.Text),
)
DELIVERING = 760326
KEPT = 14 * 86_400.0
"""Seconds for which a delivery is known; GitLab sends one again within a day."""


class SqlTriggerStore(TriggerStore):
    """Triggers in the same database as sessions."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def deliver(self, delivery: str, triggers: Sequence[Trigger]) -> bool:
        def keep(connection: sa.Connection) -> bool:
            alone(connection, DELIVERING)
            now = time.time()
            if delivery:
                known = connection.execute(DELIVERIES.select().where(DELIVERIES.c.id == delivery)).first()
                if known is not None:
                    return False
                connection.execute(DELIVERIES.insert().values(id=delivery, at=now))
                connection.execute(DELIVERIES.delete().where(DELIVERIES.c.at < now - KEPT))
            number = time.time_ns() // 1_000
            newest = connection.execute(sa.select(sa.func.max(TRIGGERS.c.number))).scalar()
            for count, trigger in enumerate(triggers):
                kept = replace(trigger, id=max(number, (newest or 0) + 1) + count, at=trigger.at or now)
                values = {"number": kept.id, "body": codec.write(kept)}
                here = TRIGGERS.c.name == kept.key
                if not connection.execute(TRIGGERS.update().where(here).values(**values)).rowcount:
                    connection.execute(TRIGGERS.insert().values(name=kept.key, **values))
            return True

        return await self._store.run(keep)

    async def waiting(self) -> Sequence[Trigger]:
        query = TRIGGERS.select().order_by(TRIGGERS.c.number)
        return await self._store.run(
            lambda connection: [codec.read(Trigger, row.body) for row in connection.execute(query)]
        )

    async def done(self, trigger: Trigger) -> None:
        gone = TRIGGERS.delete().where(TRIGGERS.c.name == trigger.key, TRIGGERS.c.number == trigger.id)
        await self._store.run(lambda connection: connection.execute(gone))
