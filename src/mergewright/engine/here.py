"""Turns of this process alone: nothing is queued, and what was done stands in the session's own log."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from mergewright.domain.engine import RunTurn
from mergewright.domain.errors import MergewrightError
from mergewright.domain.session import JSON


class HereSteps:
    """Runs each step: a flow finds in the session's log what an earlier process has finished."""

    async def step(self, name: str, run: Callable[[], Awaitable[JSON]]) -> JSON:
        return await run()


class HereEngine:
    """Runs the turns that this process is asked for, at once.

    A turn that was killed is taken up by asking for it again: the flow finds in the session's log how far it came. What
    other processes are to do waits as triggers in the store.
    """

    def __init__(self, run_turn: RunTurn) -> None:
        self._run_turn = run_turn
        self._turns: dict[tuple[str, int], asyncio.Task[None]] = {}

    async def enqueue(self, session_id: str, turn: int) -> None:
        key = session_id, turn
        # One that came to nothing, because another process was at it, may be asked for again.
        if key not in self._turns or self._turns[key].done():
            self._turns[key] = asyncio.ensure_future(self._run_turn(session_id, turn, HereSteps()))

    async def wait(self, session_id: str, turn: int) -> None:
        task = self._turns.get((session_id, turn))
        if task is None:
            raise MergewrightError(f"Turn {turn} of session `{session_id}` was never asked for here")
        # Whoever waits may be cancelled; the turn is not.
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()

    async def cancel(self, session_id: str, turn: int) -> None:
        task = self._turns.get((session_id, turn))
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    async def stop(self) -> None:
        """End what still runs."""
        for task in self._turns.values():
            task.cancel()
            with suppress(asyncio.CancelledError, MergewrightError):
                await task
