"""A session: one run of one flow on one subject, told as an append-only list of events."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from mergewright.domain.errors import WrongUse

JSON = Any
"""A value that JSON can hold; kept as it came from the wire or goes to the store."""

_SUBJECT = re.compile(r"(?P<project>[\w.-]+(?:/[\w.-]+)+)(?P<kind>[#!])(?P<iid>[1-9]\d{0,9})")


@dataclass(frozen=True, slots=True)
class Subject:
    """An issue, a merge request or a project, as GitLab writes them: `group/project#34`, `group/project!12`."""

    project: str
    kind: str
    """`#` for an issue, `!` for a merge request, nothing for the project itself."""
    iid: int
    """0 for a project."""

    @classmethod
    def parse(cls, text: str) -> "Subject":
        """Read `group/project#7` or `group/project!7`; raises WrongUse for anything else."""
        match = _SUBJECT.fullmatch(text.strip())
        if match is None or ".." in text:
            raise WrongUse(
                f"`{text}` names no issue or merge request",
                hint="write it as GitLab does: `group/project#7` or `group/project!7`",
            )
        return cls(match["project"], match["kind"], int(match["iid"]))

    @classmethod
    def read(cls, text: str) -> "Subject":
        """Read what `str` made of a subject: unlike `parse` it also takes a project."""
        return cls.parse(text) if set(text) & {"#", "!"} else cls(text, "", 0)

    def __str__(self) -> str:
        return f"{self.project}{self.kind}{self.iid}" if self.kind else self.project


class Status(StrEnum):
    """Where a session stands, in GitLab's nine values."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    INPUT_REQUIRED = "input_required"
    PLAN_APPROVAL_REQUIRED = "plan_approval_required"
    TOOL_CALL_APPROVAL_REQUIRED = "tool_call_approval_required"

    @property
    def ended(self) -> bool:
        return self in {Status.FINISHED, Status.FAILED, Status.STOPPED}

    @property
    def waiting(self) -> bool:
        """Whether the session waits for a person, holding no process."""
        return self in {
            Status.PAUSED,
            Status.INPUT_REQUIRED,
            Status.PLAN_APPROVAL_REQUIRED,
            Status.TOOL_CALL_APPROVAL_REQUIRED,
        }


@dataclass(frozen=True, slots=True)
class Task:
    """One line of a plan."""

    text: str
    done: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The checklist the agent wrote; shown in the session and the merge request."""

    tasks: tuple[Task, ...] = ()

    @classmethod
    def decode(cls, value: JSON) -> "Plan":
        """Read `[{"text": "…", "done": false}, …]`, as `encode` writes it."""
        return cls(tuple(Task(str(task["text"]), bool(task.get("done", False))) for task in value))

    def encode(self) -> list[dict[str, JSON]]:
        return [{"text": task.text, "done": task.done} for task in self.tasks]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a model was paid for, in tokens, requests and US dollars."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    """The part of `input_tokens` that the provider read from its cache."""
    cost: float | None = None
    """None when the price is not known."""

    def __add__(self, other: "Usage") -> "Usage":
        costs = [usage.cost for usage in (self, other) if usage.cost is not None]
        return Usage(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            sum(costs) if costs else None,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """One run of one flow on one subject with one goal for one actor."""

    id: str
    flow: str
    subject: Subject
    goal: str
    actor: str
    """The username of the person it runs for."""
    model: str
    status: Status = Status.CREATED
    reason: str = ""
    """Why it stands where it stands; never empty once it has ended."""
    turn: int = 0
    """How many turns were begun; a new one begins after each wait for a person."""
    inputs: Mapping[str, JSON] = field(default_factory=dict)
    """What the flow was started with beyond its goal, such as `approve_plan`."""
    created_at: float = 0.0
    updated_at: float = 0.0
    number: int = 0
    """Counted from 1 in each store: GitLab's flows API names its sessions by numbers."""


class EventKind(StrEnum):
    """What one line of a session's log tells."""

    STATUS = "status"
    """`{status, reason}`"""
    COMPONENT = "component"
    """A component of the flow began or ended: `{phase: "begin" | "end", type, outputs?, next?}`"""
    MESSAGE = "message"
    """A message of a conversation with the model, as `domain.agent.Message.encode` writes it.

    `note` says why the loop itself said something: `again`, `wrap_up`, `compact`; `cut` that the reply was cut off.
    A message with `note: "person"` and no component is what the person `by` wrote to the session; where an agent has
    taken it in, its conversation has it again with `note: "heard"` and the number of that event in `of`.
    """
    TOOL_CALL = "tool_call"
    """The intent: `{id, name, arguments}`, written before the tool does anything."""
    TOOL_RESULT = "tool_result"
    """`{id, name, text, ok, seconds, …}`, written after it did."""
    PLAN = "plan"
    """`{tasks: [{text, done}], by?}`; `by` is the person who changed it while it waited for approval."""
    CHECK = "check"
    """One of the project's own checks was run: `{command, exit_code, seconds, summary, when}`"""
    FORGE = "forge"
    """Something was written to the forge: `{action, subject?, web_url?, …}`"""
    USAGE = "usage"
    """`{requests, input_tokens, output_tokens, cached_tokens, cost, seconds}` of one model request."""
    APPROVAL = "approval"
    """A person answered: `{approval: "approve" | "reject", by, reason}`"""
    ERROR = "error"
    """`{message, hint}`"""
    PROGRESS = "progress"
    """A sentence for whoever watches: `{text}`"""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a session's log."""

    session: str
    seq: int
    """1 for the first event of a session, then one more each."""
    at: float
    """Seconds since the epoch."""
    turn: int
    kind: EventKind
    component: str
    """The component of the flow it belongs to, with its run: `implement:2`; empty outside any."""
    data: Mapping[str, JSON]


class Store(Protocol):
    """Sessions and their events."""

    async def create(self, session: Session) -> Session:
        """Keep a new session; raises Conflict while another one of that flow works on that subject."""
        ...

    async def session(self, session_id: str) -> Session:
        """Raises NotFound; a unique beginning of an id is enough."""
        ...

    async def sessions(
        self,
        *,
        active: bool = False,
        projects: Sequence[str] | None = None,
        subject: Subject | None = None,
        status: Sequence[Status] = (),
        flow: str = "",
        actor: str = "",
        before: str = "",
        limit: int = 100,
    ) -> Sequence[Session]:
        """The newest first, of all projects, those named or one subject; `before` is the id to go on behind."""
        ...

    async def update(self, session_id: str, *, status: Status, reason: str = "", turn: int | None = None) -> Session:
        """Move a session on and append the STATUS event, in one transaction.

        A session that has ended stays as it ended: only a new turn can move it on. Raises Conflict then.
        """
        ...

    async def append(
        self, session_id: str, kind: EventKind, data: Mapping[str, JSON], *, turn: int, component: str = ""
    ) -> Event: ...

    async def events(
        self, session_id: str, *, after: int = 0, kinds: Sequence[EventKind] = (), component: str | None = None
    ) -> Sequence[Event]:
        """The events past a sequence number, oldest first; all kinds and components unless named."""
        ...

    def claim(self, session_id: str) -> AbstractAsyncContextManager[None]:
        """Hold a session for this process; raises Conflict while another living process holds it."""
        ...
