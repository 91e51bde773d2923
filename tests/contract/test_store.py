"""What every store must do, whatever database lies under it."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from mergewright.domain.errors import Conflict, NotFound
from mergewright.domain.session import Event, EventKind, Session, Status, Store, Subject
from mergewright.store.sql import SqlStore, open_store

ISSUE = Subject.parse("group/project#7")
NEW = Session(id="", flow="developer", subject=ISSUE, goal="Make it so", actor="ada", model="recorded:demo")


@pytest.fixture
async def store(database: str) -> AsyncIterator[Store]:
    opened: SqlStore = open_store(database)
    yield opened
    await opened.close()


async def test_a_session_is_kept_as_it_was_given(store: Store, database: str, tmp_path: Path) -> None:
    created = await store.create(replace(NEW, inputs={"approve_plan": True, "wörd": ["é", None]}))
    assert len(created.id) == 12
    assert created.id == created.id.lower()
    assert await store.session(created.id) == created
    again = open_store(database)
    assert await again.session(created.id) == created
    await again.close()


async def test_a_text_that_no_database_takes_is_spelled_out(store: Store) -> None:
    session = await store.create(replace(NEW, goal="nul\x00 lone\udcff emoji🙂"))
    assert session.goal == "nul\\x00 lone\\udcff emoji🙂"
    assert await store.session(session.id) == session
    ended = await store.update(session.id, status=Status.FAILED, reason="bad \udcff")
    assert ended.reason == "bad \\udcff"
    assert await store.session(session.id) == ended


async def test_ids_sort_by_time_and_sessions_come_newest_first(store: Store) -> None:
    made = []
    for iid in range(1, 4):
        made.append((await store.create(replace(NEW, subject=replace(ISSUE, iid=iid)))).id)
        await asyncio.sleep(0.003)
    assert made == sorted(made)
    assert [session.id for session in await store.sessions()] == made[::-1]
    assert [session.id for session in await store.sessions(limit=1)] == made[-1:]


async def test_a_session_is_found_by_a_unique_beginning_of_its_id(store: Store) -> None:
    for id_, iid in (("abc1xxxxxxxx", 1), ("abc2xxxxxxxx", 2)):
        await store.create(replace(NEW, id=id_, subject=replace(ISSUE, iid=iid)))
    assert (await store.session("abc2")).subject.iid == 2
    with pytest.raises(NotFound, match="more than one"):
        await store.session("abc")
    for wrong in ("nope", "", "%", "abc_"):
        with pytest.raises(NotFound):
            await store.session(wrong)


async def test_a_second_session_on_the_same_subject_is_refused_and_told_of_the_first(store: Store) -> None:
    first = await store.create(NEW)
    with pytest.raises(Conflict, match="already works on `group/project#7`") as refused:
        await store.create(NEW)
    assert refused.value.hint == f"mergewright sessions show {first.id}"
    await store.create(replace(NEW, flow="reviewer"))
    await store.create(replace(NEW, subject=Subject.parse("group/project!7")))
    await store.update(first.id, status=Status.FINISHED, reason="done")
    second = await store.create(NEW)
    assert second.id != first.id
    assert {session.id for session in await store.sessions(active=True)} & {first.id, second.id} == {second.id}


async def test_an_id_is_given_out_once(store: Store) -> None:
    first = await store.create(NEW)
    with pytest.raises(Conflict, match="already"):
        await store.create(replace(NEW, id=first.id, flow="reviewer"))


async def test_a_move_is_written_to_the_log_with_it(store: Store) -> None:
    session = await store.create(NEW)
    moved = await store.update(session.id, status=Status.RUNNING, turn=1)
    assert (moved.status, moved.turn) == (Status.RUNNING, 1)
    await store.update(session.id, status=Status.INPUT_REQUIRED, reason="two questions")
    assert [(event.seq, event.turn, event.kind, event.data) for event in await store.events(session.id)] == [
        (1, 1, EventKind.STATUS, {"status": "running", "reason": ""}),
        (2, 1, EventKind.STATUS, {"status": "input_required", "reason": "two questions"}),
    ]


async def test_an_ended_session_stays_ended_until_a_new_turn_begins(store: Store) -> None:
    session = await store.create(NEW)
    await store.update(session.id, status=Status.RUNNING, turn=1)
    ended = await store.update(session.id, status=Status.STOPPED)
    assert ended.reason
    for turn in (None, 1):
        with pytest.raises(Conflict, match="has ended"):
            await store.update(session.id, status=Status.RUNNING, turn=turn)
    assert len(await store.events(session.id)) == 2
    assert (await store.update(session.id, status=Status.RUNNING, turn=2)).turn == 2
    with pytest.raises(Conflict, match="in turn 2 already"):
        await store.update(session.id, status=Status.FAILED, reason="late", turn=1)


async def test_an_ended_session_cannot_return_beside_a_newer_one(store: Store) -> None:
    old = await store.create(NEW)
    await store.update(old.id, status=Status.FAILED, reason="no")
    newer = await store.create(NEW)
    with pytest.raises(Conflict) as refused:
        await store.update(old.id, status=Status.RUNNING, turn=1)
    assert newer.id in refused.value.hint
    assert (await store.session(old.id)).status is Status.FAILED
    assert [event.seq for event in await store.events(old.id)] == [1]


async def test_nothing_is_written_for_a_session_that_is_not_there(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.append("nobody", EventKind.PROGRESS, {"text": "hello"}, turn=1)
    with pytest.raises(NotFound):
        await store.update("nobody", status=Status.RUNNING)
    with pytest.raises(NotFound):
        async with store.claim("nobody"):
            pass


async def test_events_come_back_as_they_went_in_and_can_be_chosen(store: Store) -> None:
    session = await store.create(NEW)
    odd = {"text": "tab\t nul\x00 lone\udcff emoji🙂", "n": [1, 2.5, None, {"deep": True}]}
    written: list[Event] = [
        await store.append(session.id, EventKind.MESSAGE, odd, turn=1, component="implement:1"),
        await store.append(session.id, EventKind.PROGRESS, {"text": "b"}, turn=1),
        await store.append(session.id, EventKind.MESSAGE, {"text": "c"}, turn=2, component="verify:1"),
    ]
    assert list(await store.events(session.id)) == written
    assert list(await store.events(session.id, after=2)) == written[2:]
    assert list(await store.events(session.id, kinds=[EventKind.MESSAGE])) == [written[0], written[2]]
    assert list(await store.events(session.id, component="verify:1")) == [written[2]]
    assert list(await store.events(session.id, component="")) == [written[1]]


WRITER = """
import asyncio, sys
from mergewright.domain.session import EventKind
from mergewright.store.sql import open_store
async def main(path, session, name):
    store = open_store(path)
    for number in range(60):
        await store.append(session, EventKind.PROGRESS, {"text": f"{name}{number}"}, turn=1)
    await store.close()
asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_number_their_events_without_gaps(store: Store, database: str, tmp_path: Path) -> None:
    session = await store.create(NEW)
    path = database
    writers = [await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, path, session.id, n) for n in "ab"]
    for number in range(60):
        await store.append(session.id, EventKind.PROGRESS, {"text": f"c{number}"}, turn=1)
        await asyncio.sleep(0.02)
    assert [await writer.wait() for writer in writers] == [0, 0]
    events = await store.events(session.id)
    assert [event.seq for event in events] == list(range(1, 181))
    for name in "abc":
        own = [event.data["text"] for event in events if event.data["text"].startswith(name)]
        assert own == [f"{name}{number}" for number in range(60)]


KILLED = """
import asyncio, json, os, signal, sys
from mergewright.domain.session import EventKind
from mergewright.store.sql import open_store
async def main(path, session):
    store = open_store(path)
    async with store.claim(session):
        event = await store.append(session, EventKind.PROGRESS, {"text": "last words"}, turn=1)
        print(json.dumps(event.seq), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_was_appended_outlives_a_killed_process_and_its_claim_does_not(
    store: Store, database: str, tmp_path: Path
) -> None:
    session = await store.create(NEW)
    path = database
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, path, session.id, stdout=PIPE)
    out, _ = await killed.communicate()
    assert killed.returncode == -9
    assert json.loads(out) == 1
    assert [event.data for event in await store.events(session.id)] == [{"text": "last words"}]
    async with store.claim(session.id):
        pass


HOLDER = """
import asyncio, sys
from mergewright.store.sql import open_store
async def main(path, session):
    store = open_store(path)
    async with store.claim(session):
        print("held", flush=True)
        await asyncio.to_thread(sys.stdin.read)
    await store.close()
asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_session_that_a_living_process_holds_is_refused(store: Store, database: str, tmp_path: Path) -> None:
    session = await store.create(NEW)
    path = database
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, path, session.id, stdin=PIPE, stdout=PIPE
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    with pytest.raises(Conflict, match="Another process"):
        async with store.claim(session.id):
            pass
    holder.stdin.close()
    assert await holder.wait() == 0
    async with AsyncExitStack() as held:
        await held.enter_async_context(store.claim(session.id))
        with pytest.raises(Conflict):
            await held.enter_async_context(store.claim(session.id))


async def test_sessions_are_listed_by_what_is_asked_for_and_page_by_page(store: Store) -> None:
    ids = []
    for number in range(1, 6):
        subject = Subject("team/app" if number % 2 else "team/lib", "#", number)
        session = await store.create(Session("", "developer", subject, "a goal", "anna", "m"))
        ids.append(session.id)
    await store.update(ids[0], status=Status.STOPPED, reason="cancelled")
    goal = Subject.read("team/app")
    both = [await store.create(Session("", "goal", goal, text, "ben", "m")) for text in ("one", "two")]

    assert [one.id for one in await store.sessions(projects=["team/lib"])] == [ids[3], ids[1]]
    assert [one.id for one in await store.sessions(status=[Status.STOPPED])] == [ids[0]]
    assert [one.id for one in await store.sessions(subject=Subject("team/app", "#", 3))] == [ids[2]]
    assert [one.id for one in await store.sessions(subject=goal)] == [both[1].id, both[0].id]
    assert [one.subject for one in await store.sessions(actor="ben")] == [goal, goal]
    assert await store.sessions(projects=[]) == []
    first = await store.sessions(limit=3)
    rest = await store.sessions(before=first[-1].id)
    assert [one.id for one in [*first, *rest]] == [both[1].id, both[0].id, *reversed(ids)]
