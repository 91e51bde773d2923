"""What a running review can reach, and what it has gathered."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mergewright.domain.agent import Limits, Model
from mergewright.domain.approval import ReviewForge
from mergewright.domain.forge import DiffRefs, Discussion, MergeRequest, Project
from mergewright.domain.policy import Policy
from mergewright.domain.review import Analyzer, Finding, Review, ReviewStore
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON, EventKind, Session, Store
from mergewright.git.history import History
from mergewright.review.diff import FileDiff
from mergewright.review.instructions import Instructions


@dataclass(frozen=True, slots=True)
class ReviewSettings:
    """How far a review may go."""

    mirrors: Path
    """The folder that holds one bare repository a project: what was reviewed stays there, whatever is pushed."""
    mirror_of: str = ""
    """The forge's address, so that one folder can serve several forges."""
    window: int = 32_000
    """Tokens that one prompt may take."""
    most_groups: int = 100
    """Requests that one diff may be split into; what is beyond is named as not seen."""
    parallel: int = 4
    """Requests to the model at one time."""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class ReviewWorld:
    """The adapters of a review, and the clock."""

    forge: ReviewForge
    store: Store
    reviews: ReviewStore
    open_model: Callable[[], Model] | None
    """None reviews by analyzers alone."""
    open_sandbox: Callable[[Path], Sandbox]
    """Opens a sandbox whose work tree is the folder, for proofs; raises NoSandbox where there is none."""
    open_analysis: Callable[[Path], Sandbox]
    """As `open_sandbox`, with the analyzers' own programs in it."""
    analyzers: Callable[[Policy, Sequence[str]], Sequence[Analyzer]]
    settings: ReviewSettings
    developer: str = ""
    """The username of our own developer identity; its merge requests are never approved."""
    clock: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True)
class ReviewWork:
    """One review's run in one session."""

    world: ReviewWorld
    session: Session
    folder: Path
    """The session's own folder."""
    emit: Callable[[EventKind, Mapping[str, JSON]], Awaitable[object]]

    async def say(self, text: str) -> None:
        """Tell whoever watches what happens, in a sentence."""
        await self.emit(EventKind.PROGRESS, {"text": text})


@dataclass(frozen=True, slots=True)
class Case:
    """All that a review knows before anybody looks for defects."""

    project: Project
    merge_request: MergeRequest
    refs: DiffRefs
    history: History
    files: tuple[FileDiff, ...]
    policy: Policy
    instructions: Instructions
    review: Review
    earlier: tuple[Review, ...]
    """The completed reviews of this merge request, oldest first."""
    findings: tuple[Finding, ...]
    """All findings ever made on it."""
    discussions: tuple[Discussion, ...]
    reviewer: str
    """The reviewer's username."""
    window: int = 32_000
    """Tokens that one prompt may take."""
    prefix: str = ""
    """What the conversations of a second try, on a newer head, begin with."""
    remarks: tuple[str, ...] = ()
    """What the summary must say of files that could not be read, and of what was left out."""
