"""Tells on the forge what could not be done, once and where it was asked for."""

import logging

from mergewright.domain.errors import MergewrightError
from mergewright.domain.forge import Forge
from mergewright.domain.plain import one_line
from mergewright.domain.trigger import Trigger, TriggerKind

NAMES = {
    TriggerKind.REVIEW: "The review",
    TriggerKind.ANSWER: "The answer",
    TriggerKind.FIX: "The work on this feedback",
    TriggerKind.DEVELOP: "The work on this",
    TriggerKind.HEAR: "The work on this",
    TriggerKind.PIPELINE: "The work on the failed pipeline",
    TriggerKind.WORK: "The session",
    TriggerKind.GATE: "The look at the approvals",
}
log = logging.getLogger("mergewright.dispatch")


class NotAllowed(MergewrightError):
    """Somebody asked for what takes another role."""


class GivenUp(MergewrightError):
    """What was begun again and again, and never came to an end."""


async def tell_undone(forge: Forge, trigger: Trigger, error: MergewrightError) -> None:
    """Write one note about what could not be done; where even that fails, the log has it."""
    if not trigger.subject.kind:
        return
    error = error.discreet()
    why = _sentence(error.message) + (f" {_sentence(error.hint)}" if error.hint else "")
    came_to = "was given up" if isinstance(error, GivenUp) else "was not begun"
    try:
        await forge.add_note(trigger.subject, f"{NAMES[trigger.kind]} {came_to}: {why}", mark=_mark(trigger, error))
    except MergewrightError as refused:
        log.error("it could not be told on %s: %s", trigger.subject, line(refused.message))


def _mark(trigger: Trigger, error: MergewrightError) -> str:
    if isinstance(error, NotAllowed):
        # Who may not ask is told so once, however often they ask.
        return f"undone.role.{trigger.actor_id}"
    if trigger.kind is TriggerKind.PIPELINE:
        return f"undone.pipeline.{trigger.pipeline}"
    # What nobody asked for is not complained about again and again.
    asked = trigger.cause is None or trigger.cause.explicit
    return f"undone.{trigger.kind.value}.{trigger.note_id or trigger.id}" if asked else f"undone.{trigger.kind.value}"


def line(text: str) -> str:
    """Give a message on one line, without what would steer a terminal: words of strangers may be in it."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _sentence(text: str) -> str:
    text = one_line(text.strip())
    return text if not text or text[-1] in ".!?…" else f"{text}."
