"""One session's page: what happened and what happens, and everything that a person can do about it."""

import json
import time
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from mergewright.domain.errors import WrongUse
from mergewright.domain.session import Event
from mergewright.server.asking import Asking, services_of, still_sees
from mergewright.server.events import event_json
from mergewright.server.pages.base import HEADERS, page, part
from mergewright.server.pages.live import follow
from mergewright.server.pages.sessions import VALUES, href_of
from mergewright.server.pages.story import SUMMED, Story, summed
from mergewright.server.pages.told import words
from mergewright.store.tail import tail

router = APIRouter()
WINDOW = 300
"""Events that a page opens with; the earlier ones come when they are asked for."""
View = Annotated[str, Query(pattern="^(full)?$")]
Reason = Annotated[str, Form(max_length=4_000)]


@router.get("/sessions/{session_id}")
async def show(
    request: Request, person: Asking, session_id: str, view: View = "", before: Annotated[int, Query(ge=0)] = 0
) -> Response:
    """Show a session, from its newest events on or those before a number."""
    sessions = services_of(request).sessions
    session = await sessions.one(person, session_id)
    events = await tail(sessions.store, session.id, before=before, most=WINDOW)
    plan, usage = summed(await sessions.store.events(session.id, kinds=SUMMED))
    # Last: what happens behind the events comes live, but a status from before them would stand for ever.
    session = await sessions.store.session(session.id)
    story, items = told(events, full=view == "full", whole=not before)
    return page(
        request,
        "session.html",
        person,
        **VALUES,
        title=f"{words(session.status.value)}: {words(session.flow)} {session.subject}",
        session=session,
        href=href_of(session),
        items=items,
        plan=plan,
        usage=usage,
        first=first_of(events),
        start=events[0].seq - 1 if events else 0,
        last=story.last,
        live=not session.status.ended and not before,
        before=before,
        view=view,
        csrf=person.csrf,
        now=time.time(),
    )


@router.get("/sessions/{session_id}/earlier")
async def earlier(
    request: Request, person: Asking, session_id: str, before: Annotated[int, Query(ge=1)], view: View = ""
) -> Response:
    """Give the part of the page that stands before a number."""
    sessions = services_of(request).sessions
    session = await sessions.one(person, session_id)
    events = await tail(sessions.store, session.id, before=before, most=WINDOW)
    _, items = told(events, full=view == "full", whole=False)
    text = part(
        "session_earlier.html", **VALUES, session=session, items=items, first=first_of(events), view=view, now=0.0
    )
    return HTMLResponse(text, headers=HEADERS)


@router.get("/sessions/{session_id}/live")
async def live(
    request: Request,
    person: Asking,
    session_id: str,
    after: Annotated[int, Query(ge=0)] = 0,
    first: Annotated[int, Query(ge=0)] = 0,
    view: View = "",
) -> Response:
    """Send what happens as it happens, in parts of the page; a lost connection goes on where it broke off."""
    services = services_of(request)
    sessions = services.sessions
    session = await sessions.one(person, session_id)
    known = request.headers.get("last-event-id", "")
    seen = max(after, int(known)) if known.isascii() and known.isdigit() and len(known) < 12 else after
    stream = follow(
        services.feeds,
        sessions.store,
        session.id,
        story=Story(full=view == "full"),
        first=first,
        after=seen,
        csrf=person.csrf,
        closing=lambda: getattr(request.app.state, "closing", False),
    )
    headers = {**HEADERS, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    held = services.feeds.held(person.user.id, stream, still=still_sees(request, session.id))
    return StreamingResponse(held, media_type="text/event-stream", headers=headers)


@router.get("/sessions/{session_id}/trace.jsonl")
async def trace(request: Request, person: Asking, session_id: str) -> Response:
    """Give the whole log as JSON lines."""
    sessions = services_of(request).sessions
    session = await sessions.one(person, session_id)
    lines = (json.dumps(event_json(one)) for one in await sessions.store.events(session.id))
    named = {"Content-Disposition": f'attachment; filename="session-{session.id}.jsonl"'}
    return Response("".join(f"{line}\n" for line in lines), media_type="application/jsonl", headers=named)


@router.post("/sessions/{session_id}/approve")
async def approve(request: Request, person: Asking, session_id: str) -> Response:
    """Say yes to what waits."""
    await services_of(request).sessions.approve(person, session_id)
    return _back(session_id)


@router.post("/sessions/{session_id}/reject")
async def reject(request: Request, person: Asking, session_id: str, reason: Reason = "") -> Response:
    """Say no to what waits: with a reason the agent plans anew, without one the session stops."""
    await services_of(request).sessions.reject(person, session_id, reason.strip())
    return _back(session_id)


@router.post("/sessions/{session_id}/plan")
async def change_plan(
    request: Request, person: Asking, session_id: str, tasks: Annotated[str, Form(max_length=20_000)]
) -> Response:
    """Put another plan in place of the one that waits: a task on each line."""
    wanted = [line.strip() for line in tasks.splitlines() if line.strip()]
    if not wanted:
        raise WrongUse("a plan needs a task", hint="write one task on each line, or reject the plan")
    await services_of(request).sessions.change_plan(person, session_id, wanted)
    return _back(session_id)


@router.post("/sessions/{session_id}/message")
async def message(
    request: Request, person: Asking, session_id: str, text: Annotated[str, Form(max_length=8_000)]
) -> Response:
    """Tell the agent something."""
    await services_of(request).sessions.message(person, session_id, text.strip())
    return _back(session_id, "#newest")


@router.post("/sessions/{session_id}/cancel")
async def cancel(
    request: Request, person: Asking, session_id: str, reason: Annotated[str, Form(max_length=500)] = ""
) -> Response:
    """End the session."""
    await services_of(request).sessions.cancel(person, session_id, reason=reason.strip())
    return _back(session_id)


@router.post("/sessions/{session_id}/start")
async def start(request: Request, person: Asking, session_id: str) -> Response:
    """Have a session worked on that was begun without."""
    await services_of(request).sessions.start(person, session_id)
    return _back(session_id)


@router.post("/sessions/{session_id}/restart")
async def restart(request: Request, person: Asking, session_id: str) -> Response:
    """Begin the same anew, as another session."""
    begun = await services_of(request).sessions.restart(person, session_id)
    return _back(begun.id)


def told(events: Sequence[Event], *, full: bool, whole: bool) -> tuple[Story, Sequence[object]]:
    """Give the story of some events; `whole` when it reaches to the newest."""
    story = Story(full=full)
    news = story.advance(events)
    if not whole:
        story.leave_off()
    return story, news.fresh


def first_of(events: Sequence[Event]) -> int:
    """Give the number of the first shown event where something stands before it, else 0."""
    return events[0].seq if events and events[0].seq > 1 else 0


def _back(session_id: str, place: str = "") -> Response:
    return RedirectResponse(f"/sessions/{quote(session_id, safe='')}{place}", 303)
