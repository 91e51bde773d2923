"""What a running flow can reach, handed in by whoever starts it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mergewright.domain.agent import Limits, Model
from mergewright.domain.errors import MergewrightError
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON, Event, EventKind, Session, Status, Store
from mergewright.flows.privileges import RUN_COMMANDS, privileges_of

if TYPE_CHECKING:
    from mergewright.domain.approval import ReviewForge
    from mergewright.review.world import ReviewWorld


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where one session's clone lies: the git directory stays out of reach of what runs in the work tree."""

    folder: Path
    scratch_name: str = "scratch"

    @property
    def scratch(self) -> Path:
        """What commands see as `/tmp` and home, and find again at the next command."""
        return self.folder / self.scratch_name

    @property
    def prepared(self) -> Path:
        """The scratch folder as checks begin with it."""
        return self.folder / "prepared"

    @property
    def git_dir(self) -> Path:
        return self.folder / "repo.git"

    @property
    def work_tree(self) -> Path:
        return self.folder / "work"

    @property
    def outputs(self) -> Path:
        """Whole outputs of commands, which the sandbox may read."""
        return self.folder / "outputs"


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """How far a flow may go."""

    sessions: Path
    """The folder that holds one folder a session."""
    limits: Limits = field(default_factory=Limits)
    command_seconds: float = 120.0
    """What one command of the agent may take."""
    check_seconds: float = 900.0
    """What one of the project's own checks may take."""
    pipeline_patience: float = 900.0
    """How long a pipeline is waited for."""
    pipeline_grace: float = 15.0
    """How long a pipeline may take to appear where the project has a `.gitlab-ci.yml`."""


@dataclass(frozen=True, slots=True)
class World:
    """The adapters, and the clock."""

    forge: "ReviewForge"
    store: Store
    open_model: Callable[[Session], Model]
    open_sandbox: Callable[[Workspace], Sandbox]
    settings: FlowSettings
    may_go_on: Callable[[Session], Awaitable[str]] | None = None
    """Asked at the beginning of each turn: a reason why the session may not go on, or nothing."""
    open_review: "Callable[[Session], ReviewWorld] | None" = None
    """What a review runs with; None where this process has no reviewer."""
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ends and why."""

    status: Status
    reason: str

    def encode(self) -> dict[str, JSON]:
        return {"status": self.status.value, "reason": self.reason}

    @classmethod
    def decode(cls, value: Mapping[str, JSON]) -> "Ending":
        return cls(Status(value["status"]), value["reason"])


@dataclass(frozen=True, slots=True)
class Work:
    """One component's run in one session."""

    world: World
    session: Session
    turn: int
    name: str
    run: int

    @property
    def component(self) -> str:
        """The component with its run, as events carry it: `implement:2`."""
        return f"{self.name}:{self.run}"

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.world.settings.sessions / self.session.id)

    @property
    def may_run_commands(self) -> bool:
        """Whether commands of the project or of the model may run at all."""
        return RUN_COMMANDS in privileges_of(self.session.inputs)

    def sandbox(self) -> Sandbox:
        return self.world.open_sandbox(self.workspace)

    async def emit(self, kind: EventKind, data: Mapping[str, JSON]) -> Event:
        return await self.world.store.append(self.session.id, kind, data, turn=self.turn, component=self.component)

    async def say(self, text: str) -> None:
        """Tell whoever watches what happens, in a sentence."""
        await self.emit(EventKind.PROGRESS, {"text": text})

    async def wrote(self, action: str, **facts: JSON) -> None:
        """Keep what was written to the forge."""
        await self.emit(EventKind.FORGE, {"action": action, **facts})


@dataclass(frozen=True, slots=True)
class Done:
    """What a deterministic step gives the flow, and how the session ends if the flow ends here."""

    responses: Mapping[str, JSON] = field(default_factory=dict)
    ending: Ending | None = None


Step = Callable[[Work, Mapping[str, JSON]], Awaitable[Done]]
"""A tool that the flow calls by itself: raises MergewrightError when it cannot do what it is there for."""


def given(arguments: Mapping[str, JSON], name: str, step: str) -> JSON:
    """Give a step's argument, which the flow must hand it."""
    if arguments.get(name) is None:
        raise MergewrightError(f"the step `{step}` needs an input `{name}`", hint="name it in the flow with `as`")
    return arguments[name]
