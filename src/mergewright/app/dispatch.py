"""Does what triggers ask for: one thing at a time on a merge request, several merge requests side by side."""

import asyncio
import logging
import time
from contextlib import suppress
from functools import partial

from mergewright.app.carry import AT_ONCE, Hands, begin, carry_out
from mergewright.app.undone import GivenUp, line, tell_undone
from mergewright.domain.errors import Conflict, MergewrightError, ModelUnavailable, NoDatabase, Unreachable
from mergewright.domain.session import Status
from mergewright.domain.trigger import Trigger, TriggerKind

LOOK = 1.0
"""Seconds between two looks at what waits, where nobody woke us."""
AGAIN = (5.0, 20.0, 60.0, 300.0, 900.0)
"""Seconds before each further try of what a forge or a model that is down kept from being done."""
SIDE_BY_SIDE = 2
"""Sessions that one worker runs at a time."""
TALKS = 8
"""Answers and looks at approvals that go on beside them."""
KILLED = f"the server ended in the middle of it {len(AGAIN) + 1} times"
log = logging.getLogger("mergewright.dispatch")


class Dispatcher:
    """Takes triggers out of the store once they are done, and not before: a killed process loses none."""

    def __init__(self, hands: Hands, *, side_by_side: int = SIDE_BY_SIDE) -> None:
        self._hands = hands
        self._rooms = {False: side_by_side, True: TALKS}
        self._wake = asyncio.Event()
        self._busy: dict[str, tuple[Trigger, asyncio.Task[None]]] = {}

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled; what is at work then is taken up by the next worker."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self.look()
                except NoDatabase as error:
                    log.warning("%s; it is asked again", error.message)
                # Not `wait_for`: before Python 3.12 it loses a cancellation that comes just as it is woken.
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._wake.wait()
        finally:
            tasks = [task for _, task in self._busy.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def look(self) -> None:
        """Begin what is due, as far as there is room."""
        for trigger in await self._hands.triggers.ready():
            beside = sum(one.short == trigger.short for one, _ in self._busy.values())
            if trigger.lane in self._busy or beside >= self._rooms[trigger.short]:
                continue
            task = asyncio.ensure_future(self._hold(trigger))
            self._busy[trigger.lane] = trigger, task
            task.add_done_callback(partial(self._free, trigger.lane))

    def _free(self, lane: str, _: object) -> None:
        self._busy.pop(lane, None)
        self.wake()

    async def _hold(self, trigger: Trigger) -> None:
        try:
            async with self._hands.triggers.hold(trigger) as held:
                if held and trigger.tries > len(AGAIN):
                    # Nobody was left to say that a try was in vain: the process had ended in the middle of it.
                    await self._give_up(trigger, GivenUp(KILLED, hint="The server's log may say why"))
                    await self._hands.triggers.done(trigger)
                elif held:
                    await self._carry_out(trigger)
        except MergewrightError as error:
            log.warning("%s of %s was let go: %s", trigger.kind.value, trigger.subject, line(error.message))

    async def _carry_out(self, trigger: Trigger) -> None:
        try:
            if trigger.kind not in AT_ONCE:
                begun = await begin(self._hands, trigger)
                if begun is None:
                    await self._hands.triggers.done(trigger)
                    return
                trigger = begun
            await carry_out(self._hands, trigger)
        except (Unreachable, ModelUnavailable, NoDatabase, Conflict) as error:
            if await self._later(trigger, line(error.message)):
                return
            await self._give_up(trigger, error)
        except MergewrightError as error:
            await self._give_up(trigger, error)
        except Exception as error:
            log.exception("%s of %s broke", trigger.kind.value, trigger.subject)
            if await self._later(trigger, type(error).__name__):
                return
            await self._give_up(trigger, MergewrightError("something broke in the server", hint="Its log says what"))
        await self._hands.triggers.done(trigger)

    async def _later(self, trigger: Trigger, why: str) -> bool:
        """Put a trigger off; False once it was tried often enough."""
        if trigger.tries >= len(AGAIN):
            return False
        log.warning("%s of %s is tried again: %s", trigger.kind.value, trigger.subject, why)
        await self._hands.triggers.again(trigger, due=time.time() + AGAIN[trigger.tries])
        return True

    async def _give_up(self, trigger: Trigger, error: MergewrightError) -> None:
        log.error("%s of %s was given up: %s", trigger.kind.value, trigger.subject, line(error.message))
        if trigger.kind is TriggerKind.WORK and not isinstance(error, Conflict):
            with suppress(Conflict):
                # A session that nobody works on any more must not look as if somebody did.
                await self._hands.reviewer.store.update(trigger.session, status=Status.FAILED, reason=error.message)
        await tell_undone(self._hands.voice(trigger), trigger, error)
