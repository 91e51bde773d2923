"""Durable work: a turn goes on where it stood, whatever process was killed under it."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from mergewright.domain.session import JSON


class Steps(Protocol):
    """What a running turn asks of the engine."""

    async def step(self, name: str, run: Callable[[], Awaitable[JSON]]) -> JSON:
        """Run once and keep the value, which JSON can hold; a recovered turn gets the kept value.

        A step whose process was killed under it runs again: what it does outside must look before it writes.
        """
        ...


RunTurn = Callable[[str, int, Steps], Awaitable[None]]
"""Runs one turn of a session: called with the session's id, the turn's number and the engine's steps."""


class Engine(Protocol):
    """The queue of turns and the worker that runs them."""

    async def enqueue(self, session_id: str, turn: int) -> None:
        """Queue a turn; a turn that was queued before is left as it is."""
        ...

    async def wait(self, session_id: str, turn: int) -> None:
        """Return when the turn has ended, in whatever way; raises what the turn raised."""
        ...

    async def cancel(self, session_id: str, turn: int) -> None:
        """Stop a turn at its next step, or at once where it runs in this process."""
        ...

    async def recover(self, session_id: str | None = None) -> int:
        """Queue again the turns whose worker has died, all or a session's; returns how many."""
        ...
