"""What a durable engine must do, shown with real processes on a real database."""

import asyncio
import sys
import threading
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from mergewright.domain.engine import Engine, RunTurn, Steps
from mergewright.domain.errors import Conflict, LimitReached, MergewrightError, NotFound, ToolError
from mergewright.domain.session import JSON, Session, Subject
from mergewright.engine.turns import DbosEngine
from mergewright.store.database import open_database
from mergewright.store.process import is_gone, this_process
from mergewright.store.sql import open_store

# A worker that notes each step it runs. Its manner: it `dies` in step 2, `sleeps` in step 2, or does neither.
WORKER = """
import asyncio, os, signal, sys
from mergewright.engine.turns import DbosEngine
from mergewright.store.database import open_database
from mergewright.store.process import is_gone, this_process

async def main(path, log, manner, workers, *turns):
    def note(text):
        with open(log, "a") as file:
            file.write(text + "\\n")

    async def run_turn(session, turn, steps):
        for number in (1, 2, 3):
            async def work():
                note(f"{manner} {session} {number}")
                if manner == "dies" and number == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
                if manner == "sleeps" and number == 2:
                    try:
                        await asyncio.sleep(60)
                    finally:
                        note(f"{manner} {session} woken")
                return number
            assert await steps.step(f"step {number}", work) == number

    database = open_database(path)
    engine = DbosEngine(database, run_turn=run_turn, executor=this_process(), gone=is_gone, workers=int(workers))
    await engine.start()
    for session in turns:
        await engine.enqueue(session, 1)
    for session in turns:
        await engine.wait(session, 1)
    while os.path.exists(log + ".stay"):
        await asyncio.sleep(0.02)
    await engine.stop()
    database.dispose()
asyncio.run(main(*sys.argv[1:]))
"""


async def worker(folder: Path, manner: str, workers: int, *turns: str) -> Process:
    arguments = (str(folder / "m.db"), str(folder / "log"), manner, str(workers), *turns)
    return await asyncio.create_subprocess_exec(sys.executable, "-c", WORKER, *arguments, stdout=PIPE, stderr=PIPE)


@asynccontextmanager
async def engine(folder: Path, run_turn: RunTurn, *, workers: int = 1) -> AsyncIterator[Engine]:
    database = open_database(folder / "m.db")
    made = DbosEngine(database, run_turn=run_turn, executor=this_process(), gone=is_gone, workers=workers)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
        database.dispose()


async def until(true: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        await asyncio.sleep(0.02)


def noted(folder: Path) -> list[str]:
    log = folder / "log"
    return log.read_text().splitlines() if log.exists() else []


def note(folder: Path, text: str) -> None:
    with (folder / "log").open("a") as file:
        file.write(text + "\n")


def three_steps(folder: Path) -> RunTurn:
    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        for number in (1, 2, 3):

            async def work(number: int = number) -> JSON:
                note(folder, f"here {session} {number}")
                return number

            assert await steps.step(f"step {number}", work) == number

    return run_turn


async def test_a_killed_turn_goes_on_in_the_step_it_was_in(tmp_path: Path) -> None:
    killed = await worker(tmp_path, "dies", 0, "s")
    await killed.communicate()
    assert killed.returncode == -9
    async with engine(tmp_path, three_steps(tmp_path), workers=1) as here:
        assert await here.recover() == 1
        assert await here.recover() == 0
        await here.wait("s", 1)
    assert noted(tmp_path) == ["dies s 1", "dies s 2", "here s 2", "here s 3"]


async def test_whoever_waits_for_a_killed_turn_takes_it_over(tmp_path: Path) -> None:
    killed = await worker(tmp_path, "dies", 1, "s", "never begun")
    async with engine(tmp_path, three_steps(tmp_path), workers=0) as here:
        await until(lambda: "dies s 2" in noted(tmp_path))
        await asyncio.wait_for(here.wait("s", 1), 20)
        assert noted(tmp_path) == ["dies s 1", "dies s 2", "here s 2", "here s 3"]
        assert await here.recover() == 0
        assert await here.recover("never begun") == 1
        await here.wait("never begun", 1)
    await killed.communicate()


async def test_two_processes_share_the_queue_and_no_turn_runs_twice(tmp_path: Path) -> None:
    turns = [f"s{number}" for number in range(8)]
    # A worker that leaves hands on the turns it has begun, and their steps run again: here both stay to the end.
    stay = tmp_path / "log.stay"
    stay.touch()
    there = await worker(tmp_path, "there", 2, *turns)
    async with engine(tmp_path, three_steps(tmp_path), workers=2) as here:
        await until(lambda: any(line.startswith("there") for line in noted(tmp_path)))
        for number in range(8, 16):
            await here.enqueue(f"s{number}", 1)
        for number in range(16):
            await here.wait(f"s{number}", 1)
    stay.unlink()
    out, err = await there.communicate()
    assert (there.returncode, out, err) == (0, b"", b"")
    ran = [line.split()[1:] for line in noted(tmp_path)]
    assert sorted(ran) == sorted([f"s{turn}", str(number)] for turn in range(16) for number in (1, 2, 3))


async def test_a_living_worker_keeps_its_turn_and_another_process_can_cancel_it(tmp_path: Path) -> None:
    living = await worker(tmp_path, "sleeps", 0, "s")
    async with engine(tmp_path, three_steps(tmp_path)) as here:
        await until(lambda: "sleeps s 2" in noted(tmp_path))
        assert await here.recover() == 0
        await here.cancel("s", 1)
        await asyncio.wait_for(here.wait("s", 1), 5)
        await asyncio.wait_for(living.communicate(), 10)
    assert living.returncode == 0
    assert noted(tmp_path) == ["sleeps s 1", "sleeps s 2", "sleeps s woken"]


@pytest.mark.parametrize("workers", [1, 0])
async def test_a_turn_of_this_process_is_cancelled_at_once(tmp_path: Path, workers: int) -> None:
    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        async def hang() -> JSON:
            note(tmp_path, "begun")
            try:
                await asyncio.sleep(60)
            finally:
                note(tmp_path, "cleaned up")

        await steps.step("hang", hang)
        note(tmp_path, "never")

    async with engine(tmp_path, run_turn, workers=workers) as here:
        await here.enqueue("s", 1)
        await until(lambda: "begun" in noted(tmp_path))
        begun = time.monotonic()
        await here.cancel("s", 1)
        await here.wait("s", 1)
        assert time.monotonic() - begun < 1
        await here.cancel("s", 1)
        await here.enqueue("s", 1)
        await here.wait("s", 1)
    assert noted(tmp_path) == ["begun", "cleaned up"]


async def test_a_turn_that_was_never_begun_can_be_cancelled(tmp_path: Path) -> None:
    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        note(tmp_path, session)
        await asyncio.sleep(0.5)

    async with engine(tmp_path, run_turn, workers=1) as here:
        await here.enqueue("first", 1)
        await until(lambda: noted(tmp_path) == ["first"])
        await here.enqueue("second", 1)
        await here.cancel("second", 1)
        await here.wait("second", 1)
        await here.wait("first", 1)
    assert noted(tmp_path) == ["first"]


async def test_a_failed_turn_raises_what_it_raised_here_and_its_like_elsewhere(tmp_path: Path) -> None:
    class Odd(Exception):
        pass

    raised = {"limit": LimitReached("Too much", hint="give more"), "odd": Odd("strange \udcff")}

    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        raise raised[session]

    async with engine(tmp_path, run_turn) as here:
        for session, error in raised.items():
            await here.enqueue(session, 1)
            with pytest.raises(type(error)) as same:
                await here.wait(session, 1)
            assert same.value is error
    async with engine(tmp_path, run_turn) as elsewhere:
        with pytest.raises(LimitReached, match="Too much") as like:
            await elsewhere.wait("limit", 1)
        assert like.value.hint == "give more"
        with pytest.raises(MergewrightError, match="Odd: strange"):
            await elsewhere.wait("odd", 1)


async def test_a_turn_that_was_stopped_goes_on_with_the_values_and_errors_it_had(tmp_path: Path) -> None:
    odd = {"text": "nul\x00 lone\udcff emoji🙂", "pair": (1, 2), "none": None}
    seen: list[JSON] = []
    runs: list[str] = []

    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        async def value() -> JSON:
            runs.append("value")
            return odd

        async def refused() -> JSON:
            runs.append("refused")
            raise NotFound("No such thing", hint="look")

        async def broken() -> JSON:
            runs.append("broken")
            raise ValueError("bug")

        async def hang() -> JSON:
            runs.append("hang")
            await asyncio.sleep(60 if runs.count("hang") == 1 else 0)
            return None

        seen.append(await steps.step("value", value))
        with pytest.raises(NotFound, match="No such thing") as error:
            await steps.step("refused", refused)
        seen.append(error.value.hint)
        with pytest.raises((ValueError, MergewrightError), match="bug"):
            await steps.step("broken", broken)
        seen.append(await steps.step("hang", hang))

    for _ in range(2):
        async with engine(tmp_path, run_turn, workers=0) as here:
            if not runs:
                await here.enqueue("s", 1)
                await until(lambda: "hang" in runs)
            else:
                await here.wait("s", 1)
    plain = {"text": "nul\x00 lone\udcff emoji🙂", "pair": [1, 2], "none": None}
    assert seen == [plain, "look", plain, "look", None]
    assert runs == ["value", "refused", "broken", "hang", "hang"]


async def test_a_turn_is_run_once_however_often_it_is_queued(tmp_path: Path) -> None:
    async with engine(tmp_path, three_steps(tmp_path)) as here:
        await asyncio.gather(*(here.enqueue("s", 1) for _ in range(5)))
        await asyncio.gather(*(here.wait("s", 1) for _ in range(3)))
        await here.enqueue("s", 1)
        await here.wait("s", 1)
        await here.enqueue("s", 2)
        await here.wait("s", 2)
    assert noted(tmp_path) == [f"here s {number}" for number in (1, 2, 3, 1, 2, 3)]


async def test_no_more_turns_run_at_a_time_than_there_are_workers(tmp_path: Path) -> None:
    now = most = 0

    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.3)
        now -= 1

    async with engine(tmp_path, run_turn, workers=2) as here:
        for number in range(5):
            await here.enqueue(str(number), 1)
        for number in range(5):
            await here.wait(str(number), 1)
    assert most == 2


async def test_a_turn_that_stops_itself_has_failed(tmp_path: Path) -> None:
    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        raise asyncio.CancelledError

    async with engine(tmp_path, run_turn) as here:
        await here.enqueue("s", 1)
        with pytest.raises(MergewrightError, match="stopped itself"):
            await here.wait("s", 1)


async def test_waiting_for_a_turn_that_nobody_queued_is_an_error(tmp_path: Path) -> None:
    async with engine(tmp_path, three_steps(tmp_path)) as here:
        with pytest.raises(MergewrightError, match="never queued"):
            await here.wait("nobody", 1)


async def test_a_stopped_engine_leaves_no_thread_and_a_loop_that_works(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    async with engine(tmp_path, three_steps(tmp_path)) as here:
        await here.enqueue("s", 1)
        await here.wait("s", 1)
        begun = time.monotonic()
    assert time.monotonic() - begun < 3
    assert await asyncio.to_thread(lambda: 42) == 42
    await until(lambda: not [thread.name for thread in set(threading.enumerate()) - before if "dbos" in thread.name])
    assert [t.name for t in set(threading.enumerate()) - before if not t.name.startswith("asyncio")] == []


async def test_a_step_costs_the_same_however_many_came_before(tmp_path: Path) -> None:
    seconds: list[float] = []

    async def nothing() -> JSON:
        return {"text": "x" * 2000}

    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        for _ in range(4):
            begun = time.perf_counter()
            for number in range(50):
                await steps.step(f"step {number}", nothing)
            seconds.append(time.perf_counter() - begun)

    async with engine(tmp_path, run_turn) as here:
        await here.enqueue("s", 1)
        await here.wait("s", 1)
    # A cost that grew with the steps would be several times the first by the fourth; the rest is a busy machine's.
    assert seconds[3] < seconds[0] * 3 + 0.2


async def test_a_turn_whose_steps_have_changed_since_ends_with_an_error(tmp_path: Path) -> None:
    names = ["old", "hang"]

    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        async def work() -> JSON:
            note(tmp_path, names[0])
            return None

        async def hang() -> JSON:
            note(tmp_path, "hang")
            await asyncio.sleep(60)

        await steps.step(names[0], work)
        await steps.step("hang", hang)

    async with engine(tmp_path, run_turn) as here:
        await here.enqueue("s", 1)
        await until(lambda: "hang" in noted(tmp_path))
        waiting = asyncio.create_task(here.wait("s", 1))
        await asyncio.sleep(0.1)
    with pytest.raises(MergewrightError, match="engine was stopped"):
        await waiting
    names[0] = "new"
    async with engine(tmp_path, run_turn) as here:
        with pytest.raises(MergewrightError, match="UnexpectedStep"):
            await here.wait("s", 1)
    assert noted(tmp_path) == ["old", "hang"]


async def test_a_session_and_its_turn_come_into_being_together_or_not_at_all(tmp_path: Path) -> None:
    new = Session(id="", flow="f", subject=Subject.parse("g/p#1"), goal="", actor="ada", model="m")
    store = open_store(tmp_path / "m.db")
    ran: list[str] = []

    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        ran.append(session)

    made = DbosEngine(store.database, run_turn=run_turn, executor=this_process(), gone=is_gone)
    await made.start()

    def turn_of(connection: sa.Connection, session: Session) -> None:
        made.enqueue_with(connection, session.id, 1)

    def torn(connection: sa.Connection, session: Session) -> None:
        turn_of(connection, session)
        raise ToolError("killed here")

    with pytest.raises(ToolError):
        await store.create(replace(new, id="torn"), also=torn)
    session = await store.create(new, also=turn_of)
    with pytest.raises(Conflict):
        await store.create(replace(new, id="second"), also=turn_of)
    await made.wait(session.id, 1)
    for missing in ("torn", "second"):
        with pytest.raises(MergewrightError, match="never queued"):
            await made.wait(missing, 1)
    assert ran == [session.id]
    await made.stop()
    await store.close()


async def test_a_second_engine_in_the_process_is_refused(tmp_path: Path) -> None:
    async with engine(tmp_path, three_steps(tmp_path)) as here:
        database = open_database(tmp_path / "m.db")
        second = DbosEngine(database, run_turn=three_steps(tmp_path), executor="other", gone=is_gone)
        with pytest.raises(MergewrightError, match="already"):
            await second.start()
        database.dispose()
        await here.enqueue("s", 1)
        await here.wait("s", 1)


async def test_a_tool_error_that_a_step_lets_out_reaches_the_turn(tmp_path: Path) -> None:
    caught: list[str] = []

    async def run_turn(session: str, turn: int, steps: Steps) -> None:
        async def fail() -> JSON:
            raise ToolError("no such file")

        step: Awaitable[JSON] = steps.step("fail", fail)
        with pytest.raises(ToolError) as error:
            await step
        caught.append(error.value.message)

    async with engine(tmp_path, run_turn) as here:
        await here.enqueue("s", 1)
        await here.wait("s", 1)
    assert caught == ["no such file"]
