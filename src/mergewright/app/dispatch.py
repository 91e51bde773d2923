"""Does what triggers ask for: one thing at a time on a merge request, several merge requests side by side."""

import asyncio
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from mergewright.app.runtime import Runtime
from mergewright.domain.errors import Conflict, MergewrightError, ModelUnavailable, Unreachable
from mergewright.domain.session import Session, Status, Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind, TriggerStore
from mergewright.review.answer import answer, desk_for
from mergewright.review.override import weigh_again
from mergewright.review.start import why_not
from mergewright.review.world import ReviewWorld

QUIET = 1.5
"""Seconds without a further push before a pushed head is reviewed: of a burst only the newest counts."""
LOOK = 1.0
"""Seconds between two looks at what waits, where nobody woke us."""
AGAIN = (5.0, 20.0, 60.0, 300.0)
"""Seconds before each further try of what a forge or a model that is down kept from being done."""
SIDE_BY_SIDE = 2
log = logging.getLogger("mergewright.dispatch")


@dataclass(frozen=True, slots=True)
class Hands:
    """What triggers are carried out with."""

    reviewer: Runtime
    developer: Runtime | None
    """None where no model is set, so that nobody can develop."""
    triggers: TriggerStore


class Dispatcher:
    """Takes triggers out of the store once they are done, and not before: a killed process loses none."""

    def __init__(self, hands: Hands) -> None:
        self._hands = hands
        self._wake = asyncio.Event()
        self._busy: dict[Subject, asyncio.Task[None]] = {}
        self._tries: dict[str, tuple[int, float]] = {}

    def wake(self) -> None:
        """Look at once."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                self._wake.clear()
                await self.look()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), LOOK)
        finally:
            for task in self._busy.values():
                task.cancel()
            await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def look(self) -> None:
        """Begin what is due."""
        now = time.time()
        for trigger in await self._hands.triggers.waiting():
            if trigger.subject in self._busy or len(self._busy) >= SIDE_BY_SIDE or not self._due(trigger, now):
                continue
            task = asyncio.ensure_future(self._carry_out(trigger))
            self._busy[trigger.subject] = task
            task.add_done_callback(partial(self._free, trigger.subject))

    def _free(self, subject: Subject, _: object) -> None:
        self._busy.pop(subject, None)
        self.wake()

    def _due(self, trigger: Trigger, now: float) -> bool:
        _, at = self._tries.get(trigger.key, (0, 0.0))
        return now >= at and (trigger.cause is not Cause.PUSHED or now - trigger.at >= QUIET)

    async def _carry_out(self, trigger: Trigger) -> None:
        try:
            await self._do(trigger)
        except (Unreachable, ModelUnavailable, Conflict) as error:
            tries, _ = self._tries.get(trigger.key, (0, 0.0))
            if tries < len(AGAIN):
                self._tries[trigger.key] = (tries + 1, time.time() + AGAIN[tries])
                log.warning("%s of %s is tried again: %s", trigger.kind.value, trigger.subject, _line(error.message))
                return
            log.error("%s of %s was given up: %s", trigger.kind.value, trigger.subject, _line(error.message))
        except MergewrightError as error:
            log.error("%s of %s failed: %s", trigger.kind.value, trigger.subject, _line(error.message))
        self._tries.pop(trigger.key, None)
        await self._hands.triggers.done(trigger)

    async def _do(self, trigger: Trigger) -> None:
        world = self._world(trigger.subject)
        if trigger.kind is TriggerKind.REVIEW:
            await self._review(world, trigger)
        elif trigger.kind is TriggerKind.GATE:
            await weigh_again(await desk_for(world, trigger.subject))
        elif trigger.kind is TriggerKind.ANSWER:
            reply = await answer(world, trigger.subject, trigger.note_id)
            if reply.then == "review":
                wanted = Trigger(TriggerKind.REVIEW, trigger.subject, trigger.actor, Cause.MENTIONED)
                await self._hands.triggers.deliver("", [wanted])
            elif reply.then == "fix":
                wanted = Trigger(TriggerKind.FIX, trigger.subject, trigger.actor, discussion_id=reply.discussion)
                await self._hands.triggers.deliver("", [wanted])
        else:
            await self._fix(trigger)

    async def _review(self, world: ReviewWorld, trigger: Trigger) -> None:
        cause = trigger.cause or Cause.ASKED
        subject, runtime = trigger.subject, self._hands.reviewer
        if why := await why_not(world, subject.project, subject.iid, cause, at=trigger.at):
            log.info("no review of %s: %s", subject, why)
            return
        session = await self._begun(runtime, "code_review", subject)
        if session is None:
            session = await runtime.start_review(subject, explicit=cause.explicit, actor=trigger.actor)
        await self._worked(runtime, session)

    async def _fix(self, trigger: Trigger) -> None:
        runtime = self._hands.developer
        if runtime is None:
            log.error("nobody can work %s in: no model is set", trigger.subject)
            return
        session = await self._begun(runtime, "feedback", trigger.subject)
        if session is None:
            session = await runtime.start_feedback(
                trigger.subject, discussion=trigger.discussion_id, actor=trigger.actor
            )
        await self._worked(runtime, session)

    async def _begun(self, runtime: Runtime, flow: str, subject: Subject) -> Session | None:
        """Give the session that a killed process left behind; raises Conflict while a living one works on it."""
        for session in await runtime.store.sessions(active=True):
            if (session.flow, session.subject) == (flow, subject):
                return await runtime.resume(session.id)
        return None

    async def _worked(self, runtime: Runtime, session: Session) -> None:
        ended = await runtime.work(session)
        if ended.status is Status.FAILED:
            log.error("session %s on %s failed: %s", ended.id, ended.subject, _line(ended.reason))

    def _world(self, subject: Subject) -> ReviewWorld:
        runtime = self._hands.reviewer
        if runtime.review_world is None:
            raise MergewrightError("this process has no reviewer")
        model = runtime.settings.model
        # What is answered in a thread belongs to no session; only its model's name counts here.
        return runtime.review_world(Session("", "code_review", subject, "", "", model))


def _line(text: str) -> str:
    """Give a message on one line, without what would steer a terminal: words of strangers may be in it."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
