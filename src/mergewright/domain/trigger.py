"""What happened on the forge that asks for work: told by a webhook, by the API or by the command line."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from mergewright.domain.session import Subject


class TriggerKind(StrEnum):
    """What is to be done about it."""

    REVIEW = "review"
    """Review the newest head, if the policy wants that."""
    ANSWER = "answer"
    """Somebody wrote to the reviewer."""
    FIX = "fix"
    """Somebody wants a thread worked in by the developer flow."""
    DEVELOP = "develop"
    """Somebody wants an issue made into a merge request."""
    HEAR = "hear"
    """Somebody wrote to the developer on an issue: for the session at work there, or else what a new one is to do."""
    PIPELINE = "pipeline"
    """A pipeline failed on a merge request that our developer opened."""
    WORK = "work"
    """A session that exists is to be worked on: it was asked for, answered or restarted."""
    GATE = "gate"
    """People's approvals changed: weigh them again, without a new review."""


class Cause(StrEnum):
    """Why a review is wanted."""

    ASSIGNED = "assigned"
    RE_REQUESTED = "re_requested"
    MENTIONED = "mentioned"
    PUSHED = "pushed"
    OPENED = "opened"
    READY = "ready"
    LABELLED = "labelled"
    ASKED = "asked"
    """By the API or the command line."""

    @property
    def explicit(self) -> bool:
        """Whether a person asked for exactly this review."""
        return self in {Cause.ASSIGNED, Cause.RE_REQUESTED, Cause.MENTIONED, Cause.ASKED}


@dataclass(frozen=True, slots=True)
class Trigger:
    """One thing to do about an issue, a merge request or a session, until it is done."""

    kind: TriggerKind
    subject: Subject
    actor: str
    """The username of the person whose doing it was."""
    cause: Cause | None = None
    note_id: int = 0
    """The note to answer."""
    discussion_id: str = ""
    session: str = ""
    """The session to work on."""
    goal: str = ""
    """What the person wrote, where that is to be done."""
    actor_id: int = 0
    """The person's number on the forge; 0 where they have shown already what they may."""
    pipeline: int = 0
    """The pipeline that failed."""
    branch: str = ""
    """The branch that it ran for, where it does not say for which merge request."""
    at: float = 0.0
    id: int = 0
    """The queue's own number; 0 until it is kept."""
    tries: int = 0
    """How often it was begun before, and came to no end."""
    due: float = 0.0
    """When it is to be done, or tried again."""

    @property
    def short(self) -> bool:
        """Whether it is done in moments, and waits for no session."""
        return self.kind in {TriggerKind.ANSWER, TriggerKind.GATE, TriggerKind.HEAR}

    @property
    def lane(self) -> str:
        """What only one worker at a time works on; goals of one project stand side by side."""
        if self.short:
            return f"talk {self.subject}"
        return f"work {self.subject}" if self.subject.kind else f"work {self.session or self.id}"

    @property
    def key(self) -> str:
        """Triggers with one key are one piece of work: of many pushes only the newest counts."""
        if self.kind is TriggerKind.ANSWER:
            return f"answer {self.subject} {self.note_id}"
        if self.kind is TriggerKind.WORK:
            return f"work {self.session}"
        if self.kind is TriggerKind.FIX:
            return f"fix {self.subject} {self.discussion_id}"
        if self.kind in {TriggerKind.DEVELOP, TriggerKind.HEAR} and self.note_id:
            return f"{self.kind} {self.subject} {self.note_id}"
        if self.kind is TriggerKind.PIPELINE:
            return f"pipeline {self.subject} {self.branch}".strip()
        if self.kind is TriggerKind.REVIEW and self.cause and self.cause.explicit:
            return f"review {self.subject} asked"
        return f"{self.kind} {self.subject}"


class TriggerStore(Protocol):
    """The triggers that wait, the deliveries they came with, and who works on which."""

    async def deliver(self, delivery: str, triggers: Sequence[Trigger]) -> bool:
        """Keep a delivery and its triggers, in one transaction; False when the delivery was here before."""
        ...

    async def waiting(self) -> Sequence[Trigger]:
        """The oldest first."""
        ...

    async def ready(self) -> Sequence[Trigger]:
        """Those that are due, and on whose lane no living worker is; the oldest first."""
        ...

    def hold(self, trigger: Trigger) -> AbstractAsyncContextManager[bool]:
        """Hold a trigger's lane while the body runs; gives False where another worker holds it or has done it.

        It counts as a try from here on, so that work which kills its process is not begun for ever; a body that is
        cancelled was none.
        The body is cancelled, and Conflict raised, should the hold be lost.
        """
        ...

    async def again(self, trigger: Trigger, *, due: float) -> None:
        """Put it off after a try in vain; unless something newer has come, it is due then."""
        ...

    async def done(self, trigger: Trigger) -> None:
        """Forget a trigger, unless a newer one of its key has come since it was read."""
        ...
