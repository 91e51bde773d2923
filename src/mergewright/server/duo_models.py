"""GitLab's flows API as it is written: https://docs.gitlab.com/api/duo_agent_platform_flows/"""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mergewright.domain.session import Status
from mergewright.flows.privileges import ALL

Environment = Literal["ide", "web", "chat_partial", "chat", "ambient"]
Number = Annotated[int, Field(ge=1, le=10**10)]
PRIVILEGES = (
    "Read and write the files of the session's own clone",
    "Read the project's issues, merge requests and pipelines",
    "Open and update merge requests, and write notes",
    "Run commands in the session's sandbox",
    "Commit, and push branches",
    "Run tools of MCP servers",
)
"""What each of them allows, in GitLab's order."""


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class NewWorkflow(BaseModel):
    """A flow to run; what is not named here is ignored, as GitLab does."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"project_id": "5", "start_workflow": True, "goal": "Fix the pipeline for merge request 12."},
                {"project_id": "group/project", "workflow_definition": "developer/v1", "issue_id": 7},
            ]
        }
    )

    project_id: Annotated[
        str,
        BeforeValidator(_text),
        Field(min_length=1, max_length=300, description="Its number or its path", json_schema_extra={"type": "string"}),
    ]
    namespace_id: Number | None = None
    goal: str = Field("", max_length=20_000)
    workflow_definition: str | None = Field(None, max_length=100, examples=["developer/v1", "code_review/v1"])
    start_workflow: bool = Field(False, description="Whether to begin at once; else it stays at `created`")
    issue_id: Number | None = Field(None, description="An issue's iid")
    merge_request_id: Number | None = Field(None, description="A merge request's iid")
    source_branch: str | None = Field(None, max_length=255)
    image: str | None = Field(None, max_length=500, description="Not used: commands run in this server's sandbox")
    environment: Environment | None = None
    allow_agent_to_request_user: bool = True
    agent_privileges: list[Annotated[int, Field(ge=1, le=len(ALL))]] | None = Field(None, max_length=20)
    pre_approved_agent_privileges: list[Annotated[int, Field(ge=1, le=len(ALL))]] | None = Field(None, max_length=20)
    ai_catalog_item_consumer_id: Number | None = Field(None, description="Refused: there is no catalog here")
    ai_catalog_item_version_id: Number | None = Field(None, description="Refused: there is no catalog here")
    callback_hook_id: Number | None = Field(None, description="Refused: webhooks of groups are not known here")
    client_reference: str | None = Field(None, max_length=255, description="Kept with the session, and told again")
    source: str | None = Field(None, max_length=255)


class Workload(BaseModel):
    """Where the work is done."""

    id: int
    message: str


class Workflow(BaseModel):
    """A session, as GitLab writes it."""

    id: int
    project_id: int
    namespace_id: int | None = None
    agent_privileges: list[int]
    agent_privileges_names: list[str]
    pre_approved_agent_privileges: list[int]
    pre_approved_agent_privileges_names: list[str]
    workflow_definition: str
    status: Status
    allow_agent_to_request_user: bool
    image: str | None = None
    environment: Environment | None = None
    ai_catalog_item_version_id: int | None = None
    client_reference: str | None = None
    mcp_enabled: bool = False
    gitlab_url: str
    title: str
    summary: str
    workload: Workload


class Privilege(BaseModel):
    """Something that a session may be allowed to do."""

    id: int
    name: str
    description: str
    default_enabled: bool


class Privileges(BaseModel):
    """All that a session may be allowed to do."""

    all_privileges: list[Privilege]


class Refusal(BaseModel):
    """Why GitLab's API says no: `error` where a parameter is wrong, else `message`."""

    message: str = Field("", examples=["404 Not Found - there is no project `5`"])
    error: str = Field("", examples=["goal: Field required"])
