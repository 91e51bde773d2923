"""What every store of triggers must do: deliveries once, each piece of work once, nothing newer forgotten."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mergewright.domain.session import Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind
from mergewright.store.sql import SqlStore, open_store
from mergewright.store.triggers import DELIVERIES, KEPT, SqlTriggerStore

SUBJECT = Subject.parse("group/project!12")
PUSHED = Trigger(TriggerKind.REVIEW, SUBJECT, "ada", Cause.PUSHED)
ASKED = replace(PUSHED, cause=Cause.ASKED)
ANSWER = Trigger(TriggerKind.ANSWER, SUBJECT, "bob", note_id=5, discussion_id="d1")


@pytest.fixture
async def sessions(database: str) -> AsyncIterator[SqlStore]:
    opened = open_store(database)
    yield opened
    await opened.close()


@pytest.fixture
def store(sessions: SqlStore) -> SqlTriggerStore:
    return SqlTriggerStore(sessions)


async def test_a_trigger_waits_as_it_was_given(store: SqlTriggerStore) -> None:
    assert await store.deliver("one", [ANSWER])
    (kept,) = await store.waiting()
    assert kept == replace(ANSWER, id=kept.id, at=kept.at)
    assert kept.id > 0
    assert abs(kept.at - time.time()) < 60
    await store.done(kept)
    assert await store.waiting() == []


async def test_a_delivery_that_comes_again_brings_nothing(store: SqlTriggerStore) -> None:
    assert await store.deliver("one", [PUSHED])
    await store.done((await store.waiting())[0])
    assert not await store.deliver("one", [PUSHED, ANSWER])
    assert await store.waiting() == []
    assert await store.deliver("two", [])
    assert not await store.deliver("two", [PUSHED])


async def test_work_without_a_delivery_is_never_taken_for_a_repetition(store: SqlTriggerStore) -> None:
    assert await store.deliver("", [PUSHED])
    assert await store.deliver("", [ANSWER])
    assert len(await store.waiting()) == 2


async def test_of_many_pushes_only_the_newest_waits(store: SqlTriggerStore) -> None:
    for number in range(5):
        await store.deliver(f"push {number}", [replace(PUSHED, actor=f"person{number}")])
    assert [one.actor for one in await store.waiting()] == ["person4"]


async def test_a_review_that_was_asked_for_does_not_give_way_to_a_push(store: SqlTriggerStore) -> None:
    await store.deliver("1", [ASKED])
    await store.deliver("2", [PUSHED, ANSWER, replace(ANSWER, note_id=6)])
    assert [(one.cause, one.note_id) for one in await store.waiting()] == [
        (Cause.ASKED, 0),
        (Cause.PUSHED, 0),
        (None, 5),
        (None, 6),
    ]


async def test_what_came_while_the_work_went_on_is_not_forgotten_with_it(store: SqlTriggerStore) -> None:
    await store.deliver("1", [PUSHED])
    (at_work,) = await store.waiting()
    await store.deliver("2", [replace(PUSHED, actor="bob")])
    await store.done(at_work)
    (newer,) = await store.waiting()
    assert newer.actor == "bob"
    await store.done(newer)
    await store.done(newer)
    assert await store.waiting() == []


async def test_triggers_wait_in_the_order_in_which_they_came_whatever_the_clock_says(store: SqlTriggerStore) -> None:
    triggers = [replace(ANSWER, note_id=number, at=float(100 - number)) for number in range(1, 30)]
    await store.deliver("1", triggers[:20])
    for trigger in triggers[20:]:
        await store.deliver("", [trigger])
    waiting = await store.waiting()
    assert [one.note_id for one in waiting] == list(range(1, 30))
    assert len({one.id for one in waiting}) == 29


async def test_a_delivery_is_kept_with_all_its_triggers_or_not_at_all(
    store: SqlTriggerStore, sessions: SqlStore
) -> None:
    broken = replace(ANSWER, note_id=6, at=float("nan"))
    with pytest.raises(ValueError, match="JSON"):
        await store.deliver("1", [PUSHED, broken])
    assert await store.waiting() == []
    assert await store.deliver("1", [PUSHED])


async def test_the_same_delivery_at_once_over_several_connections_is_taken_once(sessions: SqlStore) -> None:
    others = [open_store(sessions.database.url.render_as_string(hide_password=False)) for _ in range(4)]
    taken = await asyncio.gather(*(SqlTriggerStore(one).deliver("same", [PUSHED]) for one in others))
    assert sorted(taken) == [False, False, False, True]
    all_of_them = await asyncio.gather(
        *(SqlTriggerStore(one).deliver(f"d{number}", [PUSHED]) for number, one in enumerate(others))
    )
    assert all(all_of_them)
    assert len(await SqlTriggerStore(sessions).waiting()) == 1
    for one in others:
        await one.close()


async def test_deliveries_are_forgotten_long_after_the_forge_has_stopped_trying(
    store: SqlTriggerStore, sessions: SqlStore
) -> None:
    await store.deliver("old", [])
    aged = DELIVERIES.update().values(at=time.time() - KEPT - 1)
    await sessions.run(lambda connection: connection.execute(aged))
    await store.deliver("new", [])
    known = await sessions.run(lambda connection: connection.execute(DELIVERIES.select()).all())
    assert [row.id for row in known] == ["new"]
