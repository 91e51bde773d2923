"""GitLab's flows API, so that its clients work here unchanged.

https://docs.gitlab.com/api/duo_agent_platform_flows/
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from mergewright.app.people import Person
from mergewright.app.sessions import Sessions
from mergewright.domain.errors import Forbidden, NotFound, WrongUse
from mergewright.domain.forge import Project
from mergewright.domain.session import JSON, Event, EventKind, Session, Status, Subject
from mergewright.flows.privileges import ALL, privileges_of
from mergewright.server.asking import Asking, services_of
from mergewright.server.duo_models import (
    PRIVILEGES,
    Environment,
    NewWorkflow,
    Privilege,
    Privileges,
    Refusal,
    Workflow,
    Workload,
)
from mergewright.server.problems import TOLD
from mergewright.server.session_models import when

NAMED = {"#": re.compile(r"(?:issues|work_items)/(\d{1,10})\b"), "!": re.compile(r"merge_requests/(\d{1,10})\b")}
ADDRESS = re.compile(r"https?://[^/\s]+/(?P<project>[\w./-]+?)/-/", re.ASCII)
IN_WORDS = re.compile(r"\bmerge request (?:iid )?[!#]?(\d{1,10})\b|(?<![\w/])!(\d{1,10})\b", re.IGNORECASE | re.ASCII)
PIPELINE = re.compile(r"/-/pipelines/(\d{1,15})\b")
LONGEST_TITLE = 255
ARRAYS = ("agent_privileges", "pre_approved_agent_privileges")
EMPTY = frozenset({"", "null"})
"""How forms say that there is nothing."""
WorkflowId = Annotated[str, Path(pattern=r"^[0-9a-z]{1,20}$", examples=["17"])]
ERRORS: dict[int | str, dict[str, JSON]] = {
    status: {"description": TOLD[status], "model": Refusal} for status in (400, 401, 403, 404, 429, 502, 503)
}
CONFLICT: dict[int | str, dict[str, JSON]] = {409: {"description": TOLD[409], "model": Refusal}}
SCHEMA = {"$ref": "#/components/schemas/NewWorkflow"}
BODY: dict[str, JSON] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": SCHEMA}, "application/x-www-form-urlencoded": {"schema": SCHEMA}},
    }
}
router = APIRouter(prefix="/ai/duo_workflows/workflows", tags=["GitLab's flows API"], responses=ERRORS)


@router.post(
    "",
    status_code=201,
    operation_id="createWorkflow",
    summary="Create a session, and start it with `start_workflow`",
    responses={**CONFLICT, 413: {"description": TOLD[413], "model": Refusal}},
    openapi_extra=BODY,
)
async def create(request: Request, person: Asking) -> Workflow:
    """Create a session in your name; without a `workflow_definition` it works towards the goal."""
    sessions = services_of(request).sessions
    asked = await _read(request)
    project = await sessions.project(person, unquote(asked.project_id))
    _refuse_what_cannot_be(asked)
    flow, subject, goal = await _meant(sessions, person, asked, project)
    held = asked.agent_privileges
    pre_approved = asked.pre_approved_agent_privileges or []
    if held is not None and not set(pre_approved) <= set(held):
        raise WrongUse("`pre_approved_agent_privileges` has some that `agent_privileges` has not")
    kept: dict[str, JSON] = {
        "project_id": project.id,
        "workflow_definition": asked.workflow_definition or "software_development",
        "environment": asked.environment,
        "client_reference": asked.client_reference,
        "pre_approved": sorted(set(pre_approved)),
        "may_ask": asked.allow_agent_to_request_user,
    }
    pipeline = PIPELINE.search(asked.goal)
    begun = await sessions.begin(
        person,
        flow,
        subject,
        goal=goal,
        privileges=[ALL[number - 1] for number in held or ()],
        start=asked.start_workflow,
        pipeline=int(pipeline[1]) if flow == "feedback" and pipeline else 0,
        kept={name: value for name, value in kept.items() if value is not None},
    )
    return await _told(sessions, begun, unused=_unused(asked))


@router.get("", operation_id="listWorkflows", summary="Sessions that you may see, newest first")
async def index(
    request: Request,
    response: Response,
    person: Asking,
    project_id: Annotated[str, Query(max_length=300)] = "",
    page: Annotated[int, Query(ge=1, le=50)] = 1,
    per_page: Annotated[int, Query(ge=1, le=100)] = 20,
) -> list[Workflow]:
    """Give a page of sessions, as GitLab pages."""
    sessions = services_of(request).sessions
    project = (await sessions.project(person, unquote(project_id))).path_with_namespace if project_id else ""
    found = (await sessions.listed(person, project=project, limit=page * per_page + 1))[(page - 1) * per_page :]
    response.headers.update({"X-Page": str(page), "X-Per-Page": str(per_page)})
    response.headers["X-Next-Page"] = str(page + 1) if len(found) > per_page else ""
    return [await _told(sessions, one) for one in found[:per_page]]


@router.get("/agent_privileges", operation_id="listAgentPrivileges", summary="What a session may be allowed to do")
async def agent_privileges(_: Asking) -> Privileges:
    """Give all privileges, with GitLab's numbers."""
    named = zip(ALL, PRIVILEGES, strict=True)
    return Privileges(
        all_privileges=[
            Privilege(id=number, name=name, description=text, default_enabled=True)
            for number, (name, text) in enumerate(named, 1)
        ]
    )


@router.get("/{workflow_id}", operation_id="showWorkflow", summary="One session")
async def show(request: Request, person: Asking, workflow_id: WorkflowId) -> Workflow:
    """Give a session by GitLab's number or by its own id."""
    sessions = services_of(request).sessions
    return await _told(sessions, await sessions.one(person, workflow_id))


@router.post(
    "/{workflow_id}/restart",
    status_code=201,
    operation_id="restartWorkflow",
    summary="Run a failed or stopped session anew, as another one",
    responses=CONFLICT,
)
async def restart(request: Request, person: Asking, workflow_id: WorkflowId) -> Workflow:
    """Restart a session: 403 for one that did not fail and was not stopped, 409 while a restart runs."""
    sessions = services_of(request).sessions
    session = await sessions.one(person, workflow_id)
    if session.status not in {Status.FAILED, Status.STOPPED}:
        raise Forbidden(f"only what failed or was stopped is restarted; it is {session.status.value}")
    return await _told(sessions, await sessions.restart(person, workflow_id))


@router.get(
    "/{workflow_id}/trace.jsonl",
    operation_id="downloadWorkflowTrace",
    summary="What was said and done in a session, one JSON object a line",
    response_class=Response,
    responses={200: {"description": "One message a line", "content": {"application/x-ndjson": {}}}},
)
async def trace(
    request: Request, person: Asking, workflow_id: WorkflowId, thread: Annotated[str, Query(max_length=20)] = "latest"
) -> Response:
    """Give a session's messages; it has one thread, which is the latest."""
    sessions = services_of(request).sessions
    session = await sessions.one(person, workflow_id)
    if thread not in {"latest", "", session.id, str(session.number)}:
        raise NotFound(f"there is no thread `{thread}` in session `{session.id}`")
    lines = [_line(event) for event in await sessions.store.events(session.id)]
    text = "".join(json.dumps(line) + "\n" for line in lines if line)
    return Response(text, media_type="application/x-ndjson")


async def _read(request: Request) -> NewWorkflow:
    """Read what is asked from JSON or from a form, as GitLab takes both."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            values: Any = _from_pairs(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200))
        else:
            values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WrongUse("the body is neither JSON nor a form") from error
    if not isinstance(values, dict):
        raise WrongUse("the body is no JSON object")
    try:
        return NewWorkflow.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in faults]) from error


def _from_pairs(pairs: list[tuple[str, str]]) -> dict[str, JSON]:
    values: dict[str, JSON] = {}
    for name, value in pairs:
        short = name.removesuffix("[]")
        if short in ARRAYS:
            values.setdefault(short, []).extend(one for one in value.split(",") if one not in EMPTY)
        elif value not in EMPTY:
            values[short] = value
    return values


def _refuse_what_cannot_be(asked: NewWorkflow) -> None:
    if asked.callback_hook_id is not None:
        raise WrongUse("`callback_hook_id` names a webhook that this server cannot use")
    if asked.ai_catalog_item_consumer_id is not None or asked.ai_catalog_item_version_id is not None:
        raise WrongUse("there is no AI catalog here; name a `workflow_definition`")


def _unused(asked: NewWorkflow) -> list[str]:
    given = {"image": asked.image, "namespace_id": asked.namespace_id, "source": asked.source}
    return [name for name, value in given.items() if value]


async def _meant(sessions: Sessions, person: Person, asked: NewWorkflow, project: Project) -> tuple[str, Subject, str]:
    """Say which flow is meant, on what, and with which goal."""
    path = project.path_with_namespace
    flow = (asked.workflow_definition or "").removesuffix("/v1")
    if not flow:
        flow = "developer" if asked.issue_id and not asked.goal.strip() else "software_development"
    if flow == "developer":
        return flow, Subject(path, "#", asked.issue_id or _iid(asked.goal, "#", path)), ""
    if flow == "code_review":
        return flow, Subject(path, "!", asked.merge_request_id or _iid(asked.goal, "!", path)), ""
    if flow == "fix_pipeline":
        flow = "feedback" if asked.merge_request_id and PIPELINE.search(asked.goal) else "software_development"
    if flow == "feedback":
        return flow, Subject(path, "!", asked.merge_request_id or _iid(asked.goal, "!", path)), ""
    goal = asked.goal
    if asked.issue_id:
        goal = f"{goal}\n\nThis is about issue #{asked.issue_id}."
    if asked.merge_request_id:
        return flow, Subject(path, "!", asked.merge_request_id), goal
    if asked.source_branch and asked.source_branch != project.default_branch:
        found = await sessions.people.forge.find_merge_request(path, source_branch=asked.source_branch)
        if found is None:
            raise WrongUse(
                f"a session on a project begins at its default branch; `{asked.source_branch}` has no merge request"
            )
        return flow, Subject(path, "!", found.iid), goal
    if iid := await _open_one(sessions, path, goal):
        return flow, Subject(path, "!", iid), goal
    return flow, Subject(path, "", 0), goal


async def _open_one(sessions: Sessions, path: str, goal: str) -> int:
    """Give the one open merge request that a goal speaks of, as in GitLab's own example; 0 for none or several."""
    named = {int(one or other) for one, other in IN_WORDS.findall(goal)}
    if len(named) != 1:
        return 0
    try:
        found = await sessions.people.forge.merge_request(path, named.pop())
    except NotFound:
        return 0
    return found.iid if found.state == "opened" else 0


def _iid(goal: str, kind: str, path: str) -> int:
    """Read which issue or merge request a goal names: by its number, `#7`, `!7`, or its address."""
    text = goal.strip()
    address = ADDRESS.match(text)
    if address and address["project"].lower() != path.lower():
        raise WrongUse(f"the goal names another project than `{path}`")
    if found := re.fullmatch(rf"{kind}?([1-9]\d{{0,9}})", text, re.ASCII):
        return int(found[1])
    if address and (found := NAMED[kind].search(text)):
        return int(found[1])
    name = "issue_id" if kind == "#" else "merge_request_id"
    raise WrongUse(f"`{name}` is missing, and the goal names none")


async def _told(sessions: Sessions, session: Session, *, unused: list[str] | None = None) -> Workflow:
    inputs: Mapping[str, JSON] = session.inputs
    held = privileges_of(inputs)
    numbers = [number for number, name in enumerate(ALL, 1) if name in held]
    pre_approved = [int(number) for number in inputs.get("pre_approved") or ()]
    first = (session.goal.strip().splitlines() or [""])[0]
    message = f"Its page is /sessions/{session.id} on the agents' server"
    if unused:
        message += f"; not used here: {', '.join(unused)}"
    environment: Environment | None = inputs.get("environment")
    return Workflow(
        id=session.number,
        project_id=await sessions.number_of(session),
        agent_privileges=numbers,
        agent_privileges_names=[ALL[number - 1] for number in numbers],
        pre_approved_agent_privileges=pre_approved,
        pre_approved_agent_privileges_names=[ALL[number - 1] for number in pre_approved],
        workflow_definition=str(inputs.get("workflow_definition") or f"{session.flow}/v1"),
        status=session.status,
        allow_agent_to_request_user=bool(inputs.get("may_ask", True)),
        environment=environment,
        client_reference=inputs.get("client_reference"),
        gitlab_url=str(inputs.get("forge") or ""),
        title=first[:LONGEST_TITLE],
        summary=session.reason,
        workload=Workload(id=session.number, message=message),
    )


def _line(event: Event) -> dict[str, JSON] | None:
    """Give an event as a message of GitLab's trace; None for what is none."""
    data = event.data
    kind: Literal["human", "ai", "tool", "workflow_end", "checkpoint"]
    status, content = "success", ""
    if event.kind is EventKind.MESSAGE and data.get("role") in {"user", "assistant"}:
        if data.get("note") == "heard":
            return None
        kind, content = ("human" if data["role"] == "user" else "ai"), str(data.get("text") or "")
    elif event.kind is EventKind.TOOL_RESULT:
        kind, content = "tool", str(data.get("text") or "")
        status = "success" if data.get("ok") else "failed"
    elif event.kind is EventKind.APPROVAL:
        kind, content = "human", f"{data['approval']} {data.get('reason') or ''}".strip()
    elif event.kind is EventKind.STATUS and Status(data["status"]).ended:
        kind, content, status = "workflow_end", str(data.get("reason") or ""), str(data["status"])
    else:
        return None
    if not content:
        return None
    line: dict[str, JSON] = {"status": status, "content": content, "message_type": kind, "timestamp": when(event.at)}
    return line | ({"tool_info": {"name": data.get("name", "")}} if kind == "tool" else {})
