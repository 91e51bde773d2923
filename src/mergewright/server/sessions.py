"""REST of sessions, under `/api/v1`: what the pages can do, for scripts."""

import json
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from mergewright.domain.session import EventKind, Status, Subject
from mergewright.server.asking import Asking, services_of, still_sees
from mergewright.server.events import event_json
from mergewright.server.problems import described
from mergewright.server.session_models import (
    PROJECT,
    Begin,
    EventLine,
    NewPlan,
    SessionId,
    SessionLine,
    SessionWhole,
    TaskLine,
    Why,
    Words,
    line_of,
    whole_of,
)

router = APIRouter(tags=["sessions"], responses=described())
TOLD = (EventKind.PLAN, EventKind.USAGE, EventKind.APPROVAL, EventKind.COMPONENT)
"""The events of which a session's own answer is made."""
STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
After = Annotated[int, Query(ge=0, le=10**12, description="Only the events behind this number")]
OneProject = Annotated[
    str, Query(pattern=rf"^$|{PROJECT}", max_length=300, description="Only those of a project, by its path")
]


@router.get("/sessions", operation_id="listSessions", summary="Sessions that you may see, newest first")
async def list_sessions(
    request: Request,
    response: Response,
    person: Asking,
    project: OneProject = "",
    status: Annotated[list[Status], Query(description="Only those that stand so; may be given more than once")] = [],  # noqa: B006 - FastAPI copies it
    flow: Annotated[str, Query(max_length=100, pattern=r"^[0-9A-Za-z_/-]*$")] = "",
    mine: Annotated[bool, Query(description="Only those that run for you")] = False,
    before: Annotated[
        str, Query(max_length=20, pattern=r"^[0-9a-z]*$", description="Only those older than this id")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> list[SessionLine]:
    """Give a page of sessions; the header `Link` leads to the next one."""
    found = await services_of(request).sessions.listed(
        person, project=project, status=status, flow=flow.removesuffix("/v1"), mine=mine, before=before, limit=limit
    )
    if len(found) == limit:
        response.headers["Link"] = f'<{request.url.include_query_params(before=found[-1].id)}>; rel="next"'
    return [line_of(one) for one in found]


@router.post(
    "/sessions",
    status_code=201,
    operation_id="beginSession",
    summary="Begin a session in your name",
    responses=described(409, 413),
)
async def begin(request: Request, response: Response, person: Asking, asked: Begin) -> SessionLine:
    """Begin a session; it takes the role Developer, of you and of the bot."""
    begun = await services_of(request).sessions.begin(
        person,
        asked.flow,
        Subject.read(asked.subject),
        goal=asked.goal,
        approve_plan=asked.approve_plan,
        privileges=asked.agent_privileges,
        start=asked.start,
        discussion=asked.discussion,
    )
    response.headers["Location"] = f"/api/v1/sessions/{begun.id}"
    return line_of(begun)


@router.get("/sessions/{session_id}", operation_id="showSession", summary="One session")
async def show(request: Request, person: Asking, session_id: SessionId) -> SessionWhole:
    """Give a session with its plan, what it cost, and what it waits for."""
    sessions = services_of(request).sessions
    session = await sessions.one(person, session_id)
    return whole_of(session, await sessions.store.events(session.id, kinds=TOLD))


@router.get("/sessions/{session_id}/events", operation_id="listEvents", summary="A session's log, oldest first")
async def list_events(
    request: Request,
    response: Response,
    person: Asking,
    session_id: SessionId,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 200,
) -> list[EventLine]:
    """Give a page of a session's log; the header `Link` leads to the next one, which may still be to come."""
    events = await services_of(request).sessions.events(person, session_id, after=after)
    if len(events) > limit:
        events = events[:limit]
        response.headers["Link"] = f'<{request.url.include_query_params(after=events[-1].seq)}>; rel="next"'
    return [EventLine(**event_json(one)) for one in events]


@router.get(
    "/sessions/{session_id}/events/stream",
    operation_id="streamEvents",
    summary="A session's log as it is written, as server-sent events",
    response_class=StreamingResponse,
    responses={
        200: {"description": "Events, each with its number as `id`, then `end`", "content": {"text/event-stream": {}}}
    },
)
async def stream_events(
    request: Request,
    person: Asking,
    session_id: SessionId,
    after: After = 0,
    last: Annotated[str, Header(alias="Last-Event-ID", max_length=20)] = "",
) -> StreamingResponse:
    """Send a session's events as they come, past `after` or past the last one that was received, until it ends."""
    services = services_of(request)
    session = await services.sessions.one(person, session_id)
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < 13 else after
    stream = services.feeds.stream(session.id, after=max(seen, after))
    held = services.feeds.held(person.user.id, stream, still=still_sees(request, session.id))
    return StreamingResponse(held, media_type="text/event-stream", headers=STREAM)


@router.get(
    "/sessions/{session_id}/trace.jsonl",
    operation_id="downloadTrace",
    summary="A session's whole log, as JSON lines",
    response_class=PlainTextResponse,
    responses={200: {"description": "One event a line", "content": {"application/jsonl": {}}}},
)
async def trace(request: Request, person: Asking, session_id: SessionId) -> Response:
    """Give a session's whole log to keep."""
    sessions = services_of(request).sessions
    session = await sessions.one(person, session_id)
    lines = [json.dumps(event_json(one)) + "\n" for one in await sessions.store.events(session.id)]
    named = {"Content-Disposition": f'attachment; filename="session-{session.id}.jsonl"'}
    return Response("".join(lines), media_type="application/jsonl", headers=named)


@router.post(
    "/sessions/{session_id}/start",
    status_code=202,
    operation_id="startSession",
    summary="Start a session that was begun without",
    responses=described(409),
)
async def start(request: Request, person: Asking, session_id: SessionId) -> SessionLine:
    """Have a session worked on that still stands at `created`."""
    return line_of(await services_of(request).sessions.start(person, session_id))


@router.post(
    "/sessions/{session_id}/approve",
    status_code=202,
    operation_id="approveSession",
    summary="Say yes to the plan that waits",
    responses=described(409),
)
async def approve(request: Request, person: Asking, session_id: SessionId) -> SessionLine:
    """Say yes to what a session waits with; it goes on at once."""
    return line_of(await services_of(request).sessions.approve(person, session_id))


@router.post(
    "/sessions/{session_id}/reject",
    status_code=202,
    operation_id="rejectSession",
    summary="Say no to the plan that waits",
    responses=described(409, 413),
)
async def reject(request: Request, person: Asking, session_id: SessionId, why: Why) -> SessionLine:
    """Say no to what a session waits with: with a reason the agent plans anew, without one the session stops."""
    return line_of(await services_of(request).sessions.reject(person, session_id, why.reason))


@router.put(
    "/sessions/{session_id}/plan",
    operation_id="changePlan",
    summary="Put another plan in place of the one that waits",
    responses=described(409, 413),
)
async def change_plan(request: Request, person: Asking, session_id: SessionId, plan: NewPlan) -> list[TaskLine]:
    """Change the plan that waits; it still waits for approval then."""
    kept = await services_of(request).sessions.change_plan(person, session_id, plan.tasks)
    return [TaskLine(**task) for task in kept.data["tasks"]]


@router.post(
    "/sessions/{session_id}/messages",
    status_code=201,
    operation_id="messageSession",
    summary="Tell the agent something",
    responses=described(409, 413),
)
async def message(request: Request, person: Asking, session_id: SessionId, words: Words) -> EventLine:
    """Write to the agent of a running session, which reads that before its next request to the model."""
    return EventLine(**event_json(await services_of(request).sessions.message(person, session_id, words.text)))


@router.post(
    "/sessions/{session_id}/cancel",
    operation_id="cancelSession",
    summary="End a session",
    responses=described(409, 413),
)
async def cancel(request: Request, person: Asking, session_id: SessionId, why: Why | None = None) -> SessionLine:
    """End a session; whatever runs for it is stopped."""
    return line_of(await services_of(request).sessions.cancel(person, session_id, why.reason if why else ""))


@router.post(
    "/sessions/{session_id}/restart",
    status_code=201,
    operation_id="restartSession",
    summary="Begin a session that failed or was stopped anew",
    responses=described(409),
)
async def restart(request: Request, response: Response, person: Asking, session_id: SessionId) -> SessionLine:
    """Begin the same once more, as another session."""
    begun = await services_of(request).sessions.restart(person, session_id)
    response.headers["Location"] = f"/api/v1/sessions/{begun.id}"
    return line_of(begun)
