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
    """Runs turns."""

    async def enqueue(self, session_id: str, turn: int) -> None:
        """Begin a turn; a turn that was begun before is left as it is."""
        ...

    async def wait(self, session_id: str, turn: int) -> None:
        """Return when the turn has ended, in whatever way; raises what the turn raised."""
        ...

    async def cancel(self, session_id: str, turn: int) -> None:
        """Stop a turn."""
        ...
