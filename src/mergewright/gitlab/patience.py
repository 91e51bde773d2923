"""Try again while a fault is a passing one: the only layer of retries between us and a forge."""

import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from mergewright.domain.errors import Unreachable
from mergewright.gitlab.answer import PassingFault

FIRST_WAIT = 0.5
LONGEST_WAIT = 20.0

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long one thing is tried."""

    retries: int
    seconds: float
    """For all tries of one thing, waits and answers together."""
    sleep: Callable[[float], Awaitable[None]]

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What the first try gives that meets no passing fault; Unreachable when there is none."""
        spent, tries = 0.0, 0
        while True:
            started = time.monotonic()
            try:
                return await attempt()
            except PassingFault as fault:
                spent += time.monotonic() - started
                tries += 1
                wait = fault.wait if fault.wait is not None else min(FIRST_WAIT * 2 ** (tries - 1), LONGEST_WAIT)
                if tries > self.retries or spent + wait > self.seconds:
                    raise Unreachable(f"{fault.message}, after {_times(tries)}", hint=fault.hint) from fault
                spent += wait
            await self.sleep(wait)


class HasPatience(Protocol):
    @property
    def patience(self) -> Patience: ...


S = TypeVar("S", bound=HasPatience)


def patiently(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Run a method again from its beginning after a passing fault; one that writes must look first."""

    @wraps(method)
    async def tried(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.patience.run(lambda: method(self, *args, **kwargs))

    return tried


def _times(tries: int) -> str:
    return "one try" if tries == 1 else f"{tries} tries"
