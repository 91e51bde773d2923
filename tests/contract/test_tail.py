"""The ends of long logs, and what many sessions cost, whatever database lies under it."""

from collections.abc import AsyncIterator

import pytest

from mergewright.domain.session import EventKind, Session, Subject, Usage
from mergewright.store.sql import SqlStore, open_store
from mergewright.store.tail import tail, usages


@pytest.fixture
async def store(database: str) -> AsyncIterator[SqlStore]:
    made = open_store(database)
    yield made
    await made.close()


async def begin(store: SqlStore, iid: int) -> Session:
    return await store.create(Session("", "developer", Subject("team/shop", "#", iid), "x", "ann", "test:m"))


async def test_the_newest_events_come_oldest_first_and_those_before_them_when_asked(store: SqlStore) -> None:
    mine, other = await begin(store, 1), await begin(store, 2)
    for number in range(1, 8):
        await store.append(mine.id, EventKind.PROGRESS, {"text": str(number)}, turn=1)
        await store.append(other.id, EventKind.PROGRESS, {"text": "other"}, turn=1)
    newest = await tail(store, mine.id, most=3)
    assert [event.data["text"] for event in newest] == ["5", "6", "7"]
    earlier = await tail(store, mine.id, before=newest[0].seq, most=3)
    assert [event.seq for event in earlier] == [2, 3, 4]
    assert await tail(store, mine.id, before=1) == []


async def test_costs_are_added_up_for_each_session_apart(store: SqlStore) -> None:
    priced, unpriced, silent = [await begin(store, number) for number in (1, 2, 3)]
    for cost in (0.5, 0.25):
        spent = {"requests": 1, "input_tokens": 10, "output_tokens": 2, "cached_tokens": 4, "cost": cost, "seconds": 1}
        await store.append(priced.id, EventKind.USAGE, spent, turn=1)
    await store.append(unpriced.id, EventKind.USAGE, {"requests": 1, "input_tokens": 3, "cost": None}, turn=1)
    await store.append(silent.id, EventKind.PROGRESS, {"text": "nothing"}, turn=1)
    assert await usages(store, [priced.id, unpriced.id, silent.id]) == {
        priced.id: Usage(2, 20, 4, 8, 0.75),
        unpriced.id: Usage(1, 3),
        silent.id: Usage(),
    }
    assert await usages(store, []) == {}
