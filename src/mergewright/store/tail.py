"""What a page shows of long logs: their newest events, and what many sessions cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields

import sqlalchemy as sa

from mergewright.domain.session import Event, EventKind, Usage
from mergewright.store.rows import EVENTS, event_from
from mergewright.store.sql import SqlStore

_NAMES = [one.name for one in fields(Usage)]


async def tail(store: SqlStore, session_id: str, *, before: int = 0, most: int = 300) -> Sequence[Event]:
    """Give the newest events of a session, or those before a number, oldest first."""
    query = EVENTS.select().where(EVENTS.c.session == session_id).order_by(EVENTS.c.seq.desc()).limit(most)
    if before:
        query = query.where(EVENTS.c.seq < before)
    return await store.run(lambda connection: [event_from(row) for row in connection.execute(query)][::-1])


async def usages(store: SqlStore, session_ids: Sequence[str]) -> Mapping[str, Usage]:
    """Add up what each of some sessions has cost until now."""
    query = sa.select(EVENTS.c.session, EVENTS.c.data).where(
        EVENTS.c.session.in_(session_ids), EVENTS.c.kind == EventKind.USAGE.value
    )

    def read(connection: sa.Connection) -> Mapping[str, Usage]:
        found = dict.fromkeys(session_ids, Usage())
        for row in connection.execute(query):
            data = json.loads(row.data)
            found[row.session] += Usage(**{name: data[name] for name in _NAMES if name in data})
        return found

    return await store.run(read)
