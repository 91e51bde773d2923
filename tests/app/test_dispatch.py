"""What a worker does with words for a session at work, and with work that ends its process each time."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mergewright.app.dispatch import AGAIN, Dispatcher
from mergewright.domain.session import EventKind, Session, Status, Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind
from tests.app.errand import Errand, errand
from tests.review.stage import PROJECT, propose

DIES = """
import asyncio, os, sys
from mergewright.store.sql import open_store
from mergewright.store.triggers import SqlTriggerStore

async def die():
    triggers = SqlTriggerStore(open_store(sys.argv[1]))
    (trigger,) = await triggers.ready()
    async with triggers.hold(trigger) as held:
        assert held
        os._exit(7)

asyncio.run(die())
"""


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Errand]:
    async with errand(tmp_path) as made:
        yield made


async def look(place: Errand) -> None:
    """Do what is due, and no more."""
    dispatcher = Dispatcher(place.hands)
    await dispatcher.look()
    await asyncio.gather(*(task for _, task in dispatcher._busy.values()))


async def running(place: Errand) -> Session:
    subject = Subject.parse(await place.issue())
    assert place.hands.developer is not None
    session = await place.hands.developer.start(subject, actor="bob")
    await place.has(session, Status.RUNNING)
    return session


def mention(session: Session, *, by: int, text: str = "in capitals, please", note: int = 7) -> Trigger:
    kind, cause = TriggerKind.HEAR, Cause.MENTIONED
    return Trigger(kind, session.subject, "bob", cause, note, goal=text, actor_id=by)


async def who(place: Errand, name: str) -> int:
    found = await asyncio.to_thread(place.stage.api, "GET", f"/members/all?query={name}")
    return int(found[0]["id"])


async def heard(place: Errand, session: Session) -> list[tuple[str, str]]:
    events = await place.shop.store.events(session.id, kinds=(EventKind.MESSAGE,))
    return [(event.data["by"], event.data["text"]) for event in events if event.data.get("note") == "person"]


async def test_a_mention_reaches_the_session_at_work_on_the_issue_while_it_holds_the_lane(place: Errand) -> None:
    session = await running(place)
    at_work = await place.asked(Trigger(TriggerKind.WORK, session.subject, "bob", session=session.id))
    async with place.shop.triggers.hold(at_work) as held:
        assert held
        await place.asked(mention(session, by=await who(place, "bob")))
        await look(place)
        assert await heard(place, session) == [("bob", "in capitals, please")]
        assert [one.kind for one in await place.kept()] == [TriggerKind.WORK]


async def test_words_that_were_passed_on_before_a_kill_are_not_passed_on_again(place: Errand) -> None:
    session = await running(place)
    asked = await place.asked(mention(session, by=await who(place, "bob")))
    assert place.hands.developer is not None
    said = {"role": "user", "text": asked.goal, "note": "person", "by": "bob"}
    await place.tell(session, EventKind.MESSAGE, said)
    await look(place)
    assert len(await heard(place, session)) == 1
    assert await place.kept() == []


async def test_a_mention_of_whom_the_role_is_too_low_reaches_no_session(place: Errand) -> None:
    session = await running(place)
    await place.asked(mention(session, by=await who(place, "rita")))
    await look(place)
    assert await heard(place, session) == []
    assert await place.kept() == []
    (note,) = await asyncio.to_thread(place.notes, f"/issues/{session.subject.iid}")
    assert "takes the role Developer or more" in note


@pytest.mark.parametrize("status", [Status.PLAN_APPROVAL_REQUIRED, Status.FINISHED])
async def test_a_mention_that_no_session_takes_asks_for_one(place: Errand, status: Status) -> None:
    session = await running(place)
    await place.has(session, status)
    asked = await place.asked(mention(session, by=await who(place, "bob")))
    await look(place)
    assert await heard(place, session) == []
    (wanted,) = await place.kept()
    assert (wanted.kind, wanted.goal, wanted.note_id) == (TriggerKind.DEVELOP, asked.goal, 7)
    assert (wanted.actor_id, wanted.at) == (asked.actor_id, asked.at)


async def test_words_that_a_session_does_not_take_ask_for_one(place: Errand) -> None:
    session = await running(place)
    await place.asked(mention(session, by=await who(place, "bob"), text="x" * 8_001))
    await look(place)
    assert [one.kind for one in await place.kept()] == [TriggerKind.DEVELOP]


async def die(place: Errand) -> None:
    """Take the one thing that waits, and end without a word."""
    command = [sys.executable, "-c", DIES, str(place.settings.database)]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    _, stderr = await process.communicate()
    assert process.returncode == 7, stderr.decode()


async def test_work_that_ends_its_process_each_time_is_given_up_and_said_so(
    place: Errand, caplog: pytest.LogCaptureFixture
) -> None:
    await asyncio.to_thread(propose, place.stage, by="developer-bot")
    session = await running(place)
    await place.asked(Trigger(TriggerKind.WORK, session.subject, "bob", session=session.id))
    for number in range(len(AGAIN) + 1):
        assert [one.tries for one in await place.kept()] == [number]
        await die(place)
    await look(place)
    assert await place.kept() == []
    ended = await place.shop.store.session(session.id)
    assert (ended.status, ended.reason) == (Status.FAILED, "the server ended in the middle of it 6 times")
    (note,) = await asyncio.to_thread(place.notes, f"/issues/{session.subject.iid}")
    assert "The session was given up: the server ended in the middle of it 6 times." in note
    assert "was given up: the server ended in the middle of it 6 times" in caplog.text


async def test_an_answer_that_ended_its_process_once_is_begun_again(place: Errand) -> None:
    await asyncio.to_thread(propose, place.stage, by="ann")
    note = await asyncio.to_thread(place.stage.say, "@reviewer help")
    subject = Subject(PROJECT, "!", 1)
    await place.asked(Trigger(TriggerKind.ANSWER, subject, "ann", note_id=note, actor_id=await who(place, "ann")))
    await die(place)
    await look(place)
    assert await place.kept() == []
    assert len(await asyncio.to_thread(place.notes, "/merge_requests/1")) > 1


@pytest.mark.parametrize("moment", range(5))
async def test_a_worker_that_is_ended_just_as_it_is_woken_ends(place: Errand, moment: int) -> None:
    dispatcher = Dispatcher(place.hands)
    task = asyncio.ensure_future(dispatcher.run())
    await asyncio.sleep(0.1)  # it waits
    dispatcher.wake()
    for _ in range(moment):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
