"""Reviews, findings and the policy as the API writes them."""

from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from mergewright.domain.review import FindingState, ReviewerStatus, Seen, Severity, Verdict
from mergewright.domain.session import JSON

PATH = r"^[0-9A-Za-z_.-]+(/[0-9A-Za-z_.-]+)+$"
Project = Annotated[
    str, Query(pattern=PATH, max_length=300, description="The project's path", examples=["group/project"])
]
Iid = Annotated[int, Query(ge=0, le=10**10, description="Only those of this merge request")]
Moment = Annotated[float, Query(ge=0, le=10**11, allow_inf_nan=False, description="Seconds since the epoch")]
ReviewId = Annotated[str, Path(pattern=r"^[0-9a-zA-Z_.-]{1,64}$", examples=["0dvfmq2yk3x7"])]
Why = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"\S")]
MergeRequest = Annotated[
    str,
    Field(
        pattern=r"^[0-9A-Za-z_.-]+(/[0-9A-Za-z_.-]+)+![1-9][0-9]{0,9}$", max_length=300, examples=["group/project!12"]
    ),
]


class Asked(BaseModel):
    """A merge request to review."""

    subject: MergeRequest


class Reason(BaseModel):
    """Why a finding's fate is changed."""

    reason: Why


class Override(BaseModel):
    """A request for changes to lift."""

    subject: MergeRequest
    reason: Why


class Change(BaseModel):
    """New values of the policy of the organisation, a group or a project."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"scope": "group/project", "values": {"block_on": "major"}, "reason": "as agreed"}]
        }
    )

    scope: str = Field(
        pattern=r"^$|^[0-9A-Za-z_.-]+(/[0-9A-Za-z_.-]+)*$",
        max_length=300,
        examples=["group/project"],
        description="A path; empty, or `organisation`, for all projects",
    )
    values: dict[str, JSON] = Field(max_length=50)
    reason: Why


class Taken(BaseModel):
    """What was asked for is done soon."""

    subject: str


class Said(BaseModel):
    """What came of it, in a sentence."""

    message: str


class FileSeen(BaseModel):
    """What was seen of one file, in changed lines, and why not all of it."""

    path: str
    seen: Seen
    changed: int
    shown: int
    reason: str
    excused: bool = Field(description="Whether nobody expected it to be read")


class ReviewLine(BaseModel):
    """A review, as a list has it."""

    id: str
    project: str
    iid: int
    round: int = Field(description="1 for the first review of the merge request")
    head_sha: str
    status: ReviewerStatus
    verdict: Verdict | None
    reason: str
    error_code: str
    gate: str = Field(description="Which block the forge enforces, in a sentence")
    session: str
    model: str
    tokens: int
    created_at: float = Field(description="Seconds since the epoch")
    ended_at: float = Field(description="0 while it is at work")


class ReviewWhole(ReviewLine):
    """A review with what was seen of each file and the policy in force."""

    coverage: list[FileSeen]
    dropped: dict[str, int] = Field(description="How many claims were not posted, by reason")
    policy: dict[str, JSON]


class Proved(BaseModel):
    """A command that fails on the head because of the defect."""

    command: str
    exit_code: int | None
    sha: str


class FindingLine(BaseModel):
    """One claim about the code, and what became of it."""

    id: str
    iid: int = Field(description="The merge request's")
    path: str
    line: int
    start_line: int
    side: Literal["new", "old"]
    severity: Severity
    category: str
    title: str
    body: str
    state: FindingState
    answer: str
    late: bool
    source: str
    rule: str
    instruction: str
    confidence: float
    proof: Proved | None
    discussion: str


class Given(BaseModel):
    """A value of the policy."""

    value: JSON
    from_: str = Field(alias="from", description="`default`, or where it was set")


class PolicyInForce(BaseModel):
    """The policy of a project, and where each value comes from."""

    project: str
    policy: dict[str, Given]
    locked: dict[str, str] = Field(description="Values that upper levels have locked, and where")
    problems: list[str]


class Changed(BaseModel):
    """What is set at a scope now."""

    scope: str
    values: dict[str, JSON]


class Numbers(BaseModel):
    """What came of a project's reviews; further numbers stand beside these."""

    model_config = ConfigDict(extra="allow")

    merge_requests_reviewed: int
    reviews: int
    reviews_failed: int
