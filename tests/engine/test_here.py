"""Turns that a command runs in its own process."""

import asyncio
from pathlib import Path

import pytest

from mergewright.domain.engine import Steps
from mergewright.domain.errors import MergewrightError
from mergewright.engine.here import HereEngine


async def test_a_turn_that_is_asked_for_twice_runs_once() -> None:
    ran: list[tuple[str, int]] = []

    async def turn(session: str, number: int, steps: Steps) -> None:
        ran.append((session, number))

    engine = HereEngine(turn)
    await engine.enqueue("s", 1)
    await engine.enqueue("s", 1)
    await engine.wait("s", 1)
    assert ran == [("s", 1)]


async def test_what_goes_wrong_in_a_turn_reaches_who_waits_for_it() -> None:
    async def turn(session: str, number: int, steps: Steps) -> None:
        raise MergewrightError("the forge said no")

    engine = HereEngine(turn)
    await engine.enqueue("s", 1)
    with pytest.raises(MergewrightError, match="the forge said no"):
        await engine.wait("s", 1)


async def test_who_waits_may_go_and_the_turn_goes_on() -> None:
    go_on, done = asyncio.Event(), asyncio.Event()

    async def turn(session: str, number: int, steps: Steps) -> None:
        await go_on.wait()
        done.set()

    engine = HereEngine(turn)
    await engine.enqueue("s", 1)
    waiting = asyncio.ensure_future(engine.wait("s", 1))
    await asyncio.sleep(0)
    waiting.cancel()
    go_on.set()
    await engine.wait("s", 1)
    assert done.is_set()


async def test_a_cancelled_turn_is_over_when_cancel_comes_back(tmp_path: Path) -> None:
    cleaned = tmp_path / "cleaned"

    async def turn(session: str, number: int, steps: Steps) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.write_text("")

    engine = HereEngine(turn)
    await engine.enqueue("s", 1)
    await asyncio.sleep(0)
    await engine.cancel("s", 1)
    assert cleaned.exists()
    await engine.wait("s", 1)


async def test_a_turn_that_was_never_asked_for_is_not_waited_for() -> None:
    async def turn(session: str, number: int, steps: Steps) -> None:
        return None

    with pytest.raises(MergewrightError, match="never asked for here"):
        await HereEngine(turn).wait("s", 1)


async def test_steps_give_what_was_done() -> None:
    given: list[object] = []

    async def turn(session: str, number: int, steps: Steps) -> None:
        async def do() -> object:
            return {"a": 1}

        given.append(await steps.step("do", do))

    engine = HereEngine(turn)
    await engine.enqueue("s", 1)
    await engine.wait("s", 1)
    assert given == [{"a": 1}]
    await engine.stop()
