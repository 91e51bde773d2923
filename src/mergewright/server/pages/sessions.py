"""The list of sessions, and the form that begins one."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from markupsafe import Markup

from mergewright.app.people import Person
from mergewright.domain.errors import MergewrightError, Unauthorized, WrongUse
from mergewright.domain.session import Session, Status, Subject
from mergewright.server.asking import Asking, services_of
from mergewright.server.pages.base import HEADERS, page, part
from mergewright.server.pages.told import Mood, link, shown
from mergewright.server.pages.words import WORDS, span
from mergewright.server.problems import status_of
from mergewright.store.tail import usages

router = APIRouter()
ROWS = 30
"""Sessions on a page."""
MOODS: Mapping[Status, Mood] = {
    Status.RUNNING: "busy",
    Status.FINISHED: "good",
    Status.FAILED: "bad",
    Status.INPUT_REQUIRED: "wait",
    Status.PLAN_APPROVAL_REQUIRED: "wait",
    Status.TOOL_CALL_APPROVAL_REQUIRED: "wait",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sessions are wanted."""

    project: str = ""
    status: str = ""
    flow: str = ""
    mine: bool = False

    @property
    def any(self) -> bool:
        return self != Filter()

    @property
    def statuses(self) -> tuple[Status, ...]:
        if self.status == "active":
            return tuple(one for one in Status if not one.ended)
        if self.status and self.status not in set(Status):
            raise WrongUse(f"`{self.status}` is no status", hint=f"one of {', '.join(Status)}, active")
        return (Status(self.status),) if self.status else ()

    def address(self, before: str = "") -> str:
        """Give the address of the list with this filter."""
        values = {name: "true" if one is True else str(one) for name, one in asdict(self).items() if one}
        query = urlencode(values | ({"before": before} if before else {}))
        return f"/sessions?{query}" if query else "/sessions"


@dataclass(frozen=True, slots=True)
class Given:
    """What a form to begin a session was filled in with."""

    flow: str = "developer"
    subject: str = ""
    goal: str = ""
    approve_plan: bool = False


def mood_of(session: Session) -> Mood:
    """Give how a session's status is coloured; it always stands there in words too."""
    return MOODS.get(session.status, "")


def href_of(session: Session) -> str:
    """Give where a session's subject stands on the forge; empty when that is not known."""
    forge, subject = str(session.inputs.get("forge") or "").rstrip("/"), session.subject
    kind = {"#": f"/-/issues/{subject.iid}", "!": f"/-/merge_requests/{subject.iid}"}.get(subject.kind, "")
    return link(f"{forge}/{subject.project}{kind}") if forge else ""


def ago(at: float) -> Markup:
    """Give a time by how long ago it was."""
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    told = span(max(0.0, time.time() - at)).split(" ")
    return Markup('<time datetime="{0}" title="{0}">{1} ago</time>').format(moment, " ".join(told[:2]))


VALUES: Mapping[str, Any] = {
    **WORDS,
    "mood_of": mood_of,
    "href_of": href_of,
    "shown": shown,
    "ago": ago,
}
"""What the templates of sessions are given."""


def flows() -> tuple[str, ...]:
    """Give the names of the flows that can be begun."""
    from mergewright.flows.registry import BUILT_IN

    return BUILT_IN


@router.get("/sessions")
async def index(
    request: Request,
    person: Asking,
    project: Annotated[str, Query(max_length=300)] = "",
    status: Annotated[str, Query(max_length=40)] = "",
    flow: Annotated[str, Query(max_length=100)] = "",
    mine: bool = False,
    before: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """List the sessions that the person may see, newest first."""
    return await _listed(request, person, Filter(project.strip(), status, flow, mine), before=before)


@router.post("/sessions")
async def begin(
    request: Request,
    person: Asking,
    flow: Annotated[str, Form(max_length=100)],
    subject: Annotated[str, Form(max_length=400)],
    goal: Annotated[str, Form(max_length=16_384)] = "",
    approve_plan: Annotated[bool, Form()] = False,
) -> Response:
    """Begin a session, or say in the form why that cannot be."""
    given = Given(flow, subject.strip(), goal, approve_plan)
    try:
        about = Subject.read(given.subject)
        begun = await services_of(request).sessions.begin(
            person, flow, about, goal=goal.strip(), approve_plan=approve_plan
        )
    except Unauthorized:
        raise
    except MergewrightError as error:
        return await _listed(request, person, Filter(), given=given, error=error)
    return RedirectResponse(f"/sessions/{begun.id}", 303)


async def _listed(
    request: Request,
    person: Person,
    wanted: Filter,
    *,
    before: str = "",
    given: Given | None = None,
    error: MergewrightError | None = None,
) -> Response:
    sessions = services_of(request).sessions
    found = await sessions.listed(
        person,
        project=wanted.project,
        status=wanted.statuses,
        flow=wanted.flow,
        mine=wanted.mine,
        before=before,
        limit=ROWS,
    )
    values = {
        **VALUES,
        "filter": wanted,
        "address": wanted.address(before),
        "sessions": found,
        "usages": await usages(sessions.store, [one.id for one in found]),
        "older": wanted.address(found[-1].id) if len(found) == ROWS else "",
    }
    # The browser's way back asks for the whole page, though a script does it.
    if request.headers.get("hx-request") and not request.headers.get("hx-history-restore-request"):
        return HTMLResponse(part("sessions_list.html", **values), headers=HEADERS)
    return page(
        request,
        "sessions.html",
        person,
        status=status_of(error) if error else 200,
        title="Sessions",
        statuses=tuple(Status),
        flows=flows(),
        given=given or Given(),
        error=error,
        **values,
    )
