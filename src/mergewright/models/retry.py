"""The one place where a model is asked again."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence

from mergewright.domain.agent import Message, Model, Reply, ToolSpec
from mergewright.domain.errors import ModelUnavailable
from mergewright.models.faults import PassingFault

FIRST_WAIT = 0.5
LONGEST_BACKOFF = 30.0
LONGEST_ASKED = 120.0
"""A server that asks for more seconds than this gets this many."""
SILENCES = 2
"""A silent model is asked twice, not to the end of the tries: each silence costs the whole deadline."""


class Retrying:
    """Asks a model again after a passing fault, with growing waits, or as long as the server asked for."""

    def __init__(
        self,
        model: Model,
        *,
        retries: int,
        on_wait: Callable[[str], None] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self.name = model.name
        self._model = model
        self._retries = retries
        self._on_wait = on_wait
        self._sleep = sleep
        self._spread = spread

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        silences = 0
        for tries in range(1, self._retries + 2):
            try:
                return await self._model.reply(conversation, messages, tools)
            except PassingFault as fault:
                silences += fault.silent
                if tries > self._retries or silences >= SILENCES:
                    raise _gave_up(fault, tries) from fault
                await self._wait(fault, tries)
        raise AssertionError("unreachable: the last try returns or raises")

    async def close(self) -> None:
        await self._model.close()

    async def _wait(self, fault: PassingFault, tries: int) -> None:
        if fault.wait is None:
            # Jitter keeps many sessions from coming back in the same moment.
            seconds = min(LONGEST_BACKOFF, FIRST_WAIT * 2 ** (tries - 1)) * (0.5 + self._spread() / 2)
        else:
            seconds = min(LONGEST_ASKED, fault.wait)
        if self._on_wait is not None:
            self._on_wait(f"{fault.message}; trying again in {seconds:.1f} s ({tries} of {self._retries})")
        await self._sleep(seconds)


def _gave_up(fault: PassingFault, tries: int) -> ModelUnavailable:
    count = f" (after {tries} tries)" if tries > 1 else ""
    return ModelUnavailable(f"{fault.message}{count}", hint=fault.hint)
