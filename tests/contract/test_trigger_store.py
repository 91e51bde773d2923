"""What every store of triggers must do: deliveries once, each piece of work once and by one worker, none forgotten."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from mergewright.domain.errors import Conflict
from mergewright.domain.session import Session, Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind
from mergewright.store.claims import STALE
from mergewright.store.process import this_process
from mergewright.store.sql import SqlStore, open_store
from mergewright.store.triggers import DELIVERIES, KEPT, LANES, QUIET, SqlTriggerStore

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


async def test_deliveries_that_come_at_once_are_kept_together_each_once_and_in_order(store: SqlTriggerStore) -> None:
    names = [f"d{number % 150}" for number in range(300)]
    said = [replace(ANSWER, note_id=number % 150 + 1) for number in range(300)]
    new = await asyncio.gather(*(store.deliver(name, [one]) for name, one in zip(names, said, strict=True)))
    assert new == [True] * 150 + [False] * 150
    assert [one.note_id for one in await store.waiting()] == list(range(1, 151))


async def test_deliveries_are_forgotten_long_after_the_forge_has_stopped_trying(
    store: SqlTriggerStore, sessions: SqlStore
) -> None:
    await store.deliver("old", [])
    aged = DELIVERIES.update().values(at=time.time() - KEPT - 1)
    await sessions.run(lambda connection: connection.execute(aged))
    await SqlTriggerStore(sessions).deliver("new", [])
    known = await sessions.run(lambda connection: connection.execute(DELIVERIES.select()).all())
    assert [row.id for row in known] == ["new"]


# --- who works on what -------------------------------------------------------------------------


async def kept(store: SqlTriggerStore, *triggers: Trigger) -> list[Trigger]:
    await store.deliver("", triggers)
    return list(await store.waiting())


async def test_only_one_worker_at_a_time_works_on_a_merge_request(store: SqlTriggerStore) -> None:
    review, fix = await kept(store, ASKED, replace(ANSWER, kind=TriggerKind.FIX))
    async with store.hold(review) as held:
        assert held
        assert await store.ready() == []
        async with store.hold(fix) as other:
            assert not other
    async with store.hold(fix) as other:
        assert other


async def test_an_answer_waits_for_no_session_on_its_merge_request(store: SqlTriggerStore) -> None:
    review, said = await kept(store, ASKED, ANSWER)
    async with store.hold(review):
        assert await store.ready() == [said]
        async with store.hold(said) as held:
            assert held


async def test_goals_of_one_project_are_worked_on_side_by_side(store: SqlTriggerStore) -> None:
    project = Subject("group/project", "", 0)
    one, two = await kept(store, *(Trigger(TriggerKind.WORK, project, "ada", session=name) for name in ("s1", "s2")))
    async with store.hold(one) as first, store.hold(two) as second:
        assert first
        assert second


async def test_what_another_worker_has_done_meanwhile_is_not_done_again(store: SqlTriggerStore) -> None:
    (asked,) = await kept(store, ASKED)
    async with store.hold(asked):
        await store.done(asked)
    async with store.hold(asked) as held:
        assert not held
    assert await store.ready() == []


async def test_of_many_workers_one_gets_a_trigger(sessions: SqlStore) -> None:
    (asked,) = await kept(SqlTriggerStore(sessions), ASKED)
    others = [open_store(sessions.database.url.render_as_string(hide_password=False)) for _ in range(4)]
    taken = []

    async def work(one: SqlStore) -> None:
        triggers = SqlTriggerStore(one)
        async with triggers.hold(asked) as held:
            if held:
                taken.append(one)
                await asyncio.sleep(0.2)
                await triggers.done(asked)

    await asyncio.gather(*(work(one) for one in others for _ in range(3)))
    assert len(taken) == 1
    for one in others:
        await one.close()


@pytest.mark.parametrize(("process", "silent"), [("elsewhere|1|1", STALE + 1), ("{here}|999999999|1", 0.0)])
async def test_the_work_of_a_worker_that_died_is_taken_over(
    store: SqlTriggerStore, sessions: SqlStore, process: str, silent: float
) -> None:
    (asked,) = await kept(store, ASKED)
    dead = process.replace("{here}", this_process().partition("|")[0])
    row = {"lane": asked.lane, "token": "theirs", "process": dead, "heartbeat": time.time() - silent}
    await sessions.run(lambda connection: connection.execute(LANES.insert().values(**row)))
    assert await store.ready() == [asked]
    async with store.hold(asked) as held:
        assert held


async def test_a_worker_elsewhere_that_lives_is_left_alone(store: SqlTriggerStore, sessions: SqlStore) -> None:
    (asked,) = await kept(store, ASKED)
    row = {"lane": asked.lane, "token": "theirs", "process": "elsewhere|1|1", "heartbeat": time.time()}
    await sessions.run(lambda connection: connection.execute(LANES.insert().values(**row)))
    assert await store.ready() == []
    async with store.hold(asked) as held:
        assert not held


async def test_what_was_tried_in_vain_waits_and_keeps_count_of_its_tries(store: SqlTriggerStore) -> None:
    (asked,) = await kept(store, ASKED)
    for due in (time.time() + 60, time.time() - 1):
        async with store.hold(asked) as held:
            assert held
            await store.again(asked, due=due)
        assert len(await store.ready()) == (due < time.time())
    (ready,) = await store.ready()
    assert ready.tries == 2
    (newer,) = await kept(store, ASKED)
    await store.again(asked, due=time.time() + 60)
    assert [(one.id, one.tries) for one in await store.ready()] == [(newer.id, 0)]


async def test_a_try_counts_from_its_beginning_and_one_that_is_cancelled_does_not(store: SqlTriggerStore) -> None:
    (asked,) = await kept(store, ASKED)
    begun = asyncio.Event()

    async def work() -> None:
        async with store.hold(asked) as held:
            assert held
            begun.set()
            await asyncio.sleep(60)

    task = asyncio.ensure_future(work())
    await begun.wait()
    assert [one.tries for one in await store.waiting()] == [1]
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert [one.tries for one in await store.waiting()] == [0]


async def test_a_cancelled_work_on_a_session_that_began_in_the_same_hold_was_no_try(
    store: SqlTriggerStore, sessions: SqlStore
) -> None:
    (fix,) = await kept(store, replace(ANSWER, kind=TriggerKind.FIX))

    async def work() -> None:
        async with store.hold(fix):
            new = Session("", "feedback", SUBJECT, "goal", "bob", "m", turn=1)
            await sessions.create(new, also=store.becomes(fix))
            assert [one.tries for one in await store.waiting()] == [1]
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await work()
    assert [(one.kind, one.tries) for one in await store.waiting()] == [(TriggerKind.WORK, 0)]


async def test_one_trigger_takes_the_place_of_another_once(store: SqlTriggerStore) -> None:
    (heard,) = await kept(store, replace(ANSWER, kind=TriggerKind.HEAR, at=5.0))
    wanted = replace(heard, kind=TriggerKind.DEVELOP)
    for _ in range(2):
        await store.instead(heard, wanted)
        assert [(one.kind, one.at) for one in await store.waiting()] == [(TriggerKind.DEVELOP, 5.0)]
        await store.done(heard)
    (kept_one,) = await store.waiting()
    await store.done(kept_one)
    await store.instead(heard, wanted)
    assert await store.waiting() == []


async def test_a_pushed_head_is_due_once_no_further_push_comes(store: SqlTriggerStore) -> None:
    (pushed,) = await kept(store, PUSHED)
    assert await store.ready() == []
    assert 0 < pushed.due - time.time() <= QUIET


async def test_a_trigger_becomes_the_work_on_its_session_in_one_transaction(
    store: SqlTriggerStore, sessions: SqlStore
) -> None:
    (fix,) = await kept(store, replace(ANSWER, kind=TriggerKind.FIX, actor_id=7))
    new = Session("", "feedback", SUBJECT, "goal", "bob", "m", turn=1)
    session = await sessions.create(new, also=store.becomes(fix))
    assert await store.waiting() == [replace(fix, kind=TriggerKind.WORK, session=session.id, tries=1)]
    with pytest.raises(Conflict):
        await sessions.create(new, also=store.becomes(replace(fix, note_id=6)))
    assert len(await store.waiting()) == 1
