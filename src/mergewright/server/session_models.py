"""Sessions as the API writes them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from mergewright.app.report import answer_of, usage_of
from mergewright.domain.session import JSON, Event, EventKind, Plan, Session, Status
from mergewright.flows.privileges import ALL as PRIVILEGES
from mergewright.flows.privileges import privileges_of

Waits = Literal["", "plan_approval", "tool_call_approval", "input", "resume"]
WAITS: Mapping[Status, Waits] = {
    Status.PLAN_APPROVAL_REQUIRED: "plan_approval",
    Status.TOOL_CALL_APPROVAL_REQUIRED: "tool_call_approval",
    Status.INPUT_REQUIRED: "input",
    Status.PAUSED: "resume",
}
SUBJECT = r"^[0-9A-Za-z_.-]+(/[0-9A-Za-z_.-]+)+([#!][1-9][0-9]{0,9})?$"
PROJECT = r"^[0-9A-Za-z_.-]+(/[0-9A-Za-z_.-]+)+$"
SessionId = Annotated[
    str, Path(pattern=r"^[0-9a-z]{1,20}$", description="A session's id, or its number", examples=["0dvfmq2yk3x7"])
]
Privilege = Literal[
    "read_write_files", "read_only_gitlab", "read_write_gitlab", "run_commands", "use_git", "run_mcp_tools"
]
EXAMPLE: dict[str, JSON] = {
    "id": "0dvfmq2yk3x7",
    "number": 17,
    "flow": "developer",
    "subject": "group/project#7",
    "project": "group/project",
    "goal": "group/project#7",
    "actor": "ann",
    "model": "openai:gpt-5",
    "status": "plan_approval_required",
    "reason": "the plan waits for approval",
    "turn": 1,
    "created_at": "2026-01-02T03:04:05.000000Z",
    "updated_at": "2026-01-02T03:05:00.000000Z",
    "approve_plan": True,
    "agent_privileges": list(PRIVILEGES),
    "restart_of": "",
    "path": "/sessions/0dvfmq2yk3x7",
}


class SessionLine(BaseModel):
    """A session, as a list has it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    number: int = Field(description="What GitLab's flows API calls its id")
    flow: str
    subject: str = Field(description="An issue, a merge request or a project, as GitLab writes them")
    project: str
    goal: str
    actor: str = Field(description="The username of the person it runs for")
    model: str
    status: Status
    reason: str = Field(description="Why it stands where it stands; never empty once it has ended")
    turn: int
    created_at: str
    updated_at: str
    approve_plan: bool
    agent_privileges: list[str]
    restart_of: str = Field(description="The session of which this one is a restart; mostly empty")
    path: str = Field(description="Its page on this server")


class TaskLine(BaseModel):
    """One step of a plan."""

    text: str
    done: bool


class UsageLine(BaseModel):
    """What the model was paid for."""

    requests: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: float | None = Field(description="US dollars; null when a price is not known")


class SessionWhole(SessionLine):
    """A session with its plan, what it cost, and what it waits for."""

    model_config = ConfigDict(json_schema_extra={"examples": []})

    plan: list[TaskLine]
    usage: UsageLine
    waits_for: Waits = Field(description="What a person is to do; empty when nothing, or once it was answered")
    answer: str = Field(description="What a goal was answered with; empty for other flows")


class EventLine(BaseModel):
    """One line of a session's log."""

    seq: int = Field(description="1 for a session's first event, then one more each")
    at: float = Field(description="Seconds since the epoch")
    turn: int
    kind: EventKind
    component: str
    data: dict[str, JSON]


class Begin(BaseModel):
    """A session to begin."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"flow": "developer", "subject": "group/project#7", "approve_plan": True}]},
    )

    flow: str = Field(max_length=100, description="`developer`, `code_review`, `feedback`, `software_development`, …")
    subject: str = Field(pattern=SUBJECT, max_length=300, examples=["group/project#7", "group/project!12"])
    goal: str = Field("", max_length=20_000, description="What is to be done; for `software_development`")
    approve_plan: bool = Field(False, description="Whether the plan waits for a person")
    agent_privileges: list[Privilege] = Field([], max_length=20, description="All of them where none is named")
    discussion: str = Field("", max_length=64, pattern=r"^[0-9A-Za-z]*$", description="The one thread to work in")
    start: bool = Field(True, description="Whether to begin at once; else it is started later")


class Why(BaseModel):
    """A reason, which people read later."""

    reason: str = Field("", max_length=4_000)


class NewPlan(BaseModel):
    """A plan in place of the one that waits."""

    tasks: list[Annotated[str, Field(max_length=500)]] = Field(
        min_length=1, max_length=50, examples=[["Write the test", "Mend the sum"]]
    )


class Words(BaseModel):
    """What the agent is to read."""

    text: str = Field(min_length=1, max_length=8_000)


def line_of(session: Session) -> SessionLine:
    """Give a session as a list has it."""
    return SessionLine(**_values(session))


def whole_of(session: Session, events: Sequence[Event]) -> SessionWhole:
    """Give a session with what its log tells of plan, cost and waiting."""
    plans = [event for event in events if event.kind is EventKind.PLAN]
    usage = usage_of(list(events))
    answered = any(event.kind is EventKind.APPROVAL and event.turn == session.turn for event in events)
    return SessionWhole(
        **_values(session),
        plan=[TaskLine(**task) for task in Plan.decode(plans[-1].data["tasks"]).encode()] if plans else [],
        usage=UsageLine(
            requests=usage.requests,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            cost=usage.cost,
        ),
        waits_for="" if answered else WAITS.get(session.status, ""),
        answer=answer_of(events),
    )


def _values(session: Session) -> dict[str, JSON]:
    kind, _, _ = session.model.partition(":")
    held = privileges_of(session.inputs)
    return {
        "id": session.id,
        "number": session.number,
        "flow": session.flow,
        "subject": str(session.subject),
        "project": session.subject.project,
        "goal": session.goal,
        "actor": session.actor,
        # A recording's name is a path on this machine, which is nobody's business.
        "model": "recorded" if kind == "recorded" else session.model,
        "status": session.status,
        "reason": session.reason,
        "turn": session.turn,
        "created_at": when(session.created_at),
        "updated_at": when(session.updated_at),
        "approve_plan": bool(session.inputs.get("approve_plan")),
        "agent_privileges": [name for name in PRIVILEGES if name in held],
        "restart_of": str(session.inputs.get("restart_of") or ""),
        "path": f"/sessions/{session.id}",
    }


def when(at: float) -> str:
    """Give a time as GitLab writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
