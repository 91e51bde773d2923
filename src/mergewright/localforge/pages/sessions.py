"""Automate → Sessions, and the buttons that begin one: the agents' server is asked in the person's name."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from anyio import to_thread
from sqlalchemy import or_, select
from starlette.requests import Request

from mergewright.localforge import access
from mergewright.localforge.agents import sessions_of, start_session
from mergewright.localforge.errors import Refused, forbidden, unauthorized
from mergewright.localforge.instance import Instance
from mergewright.localforge.pages.visit import Shown, Visit, Visitor, reason, visit, visitor_of
from mergewright.localforge.tables import Issue, MergeRequest
from mergewright.localforge.wire.projects import web_url

PAGE = re.compile(r"/(?P<project>.+?)/-/automate/sessions/?", re.DOTALL)
REFERENCE = re.compile(r"(?P<project>.+?)(?P<kind>[#!])(?P<iid>\d{1,10})", re.ASCII)
ENDED = frozenset({"finished", "failed", "stopped"})
SHOWN = 100


@dataclass(frozen=True, slots=True)
class Row:
    """A session as the list shows it."""

    id: str
    flow: str
    status: str
    about: str
    where: str
    """The address of what it is about; empty where that is the project."""
    title: str
    by: str
    created_at: str

    @property
    def live(self) -> bool:
        return self.status not in ENDED


def row_of(said: Mapping[str, Any]) -> Row:
    """Read one session of the agents' answer; what is not there stays empty."""

    def text(*names: str) -> str:
        found = next((said[name] for name in names if said.get(name)), "")
        return str(found) if isinstance(found, (str, int)) else ""

    about = text("subject")
    found = REFERENCE.fullmatch(about)
    noun = {"#": "issues", "!": "merge_requests"}
    where = quote(f"/{found['project']}/-/{noun[found['kind']]}/{found['iid']}") if found else ""
    created = text("created_at", "started_at")
    return Row(
        text("id"),
        text("flow", "workflow_definition").partition("/")[0],
        text("status"),
        f"{found['kind']}{found['iid']}" if found else about,
        where,
        "" if text("title", "goal") == about else text("title", "goal")[:200],
        text("actor", "by"),
        created if re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)", created, re.ASCII) else "",
    )


@dataclass(frozen=True, slots=True)
class Looked:
    """Who looks at a project's sessions, and the visit itself."""

    visitor: Visitor
    seen: Visit


def look(instance: Instance, request: Request, path: str, project: str) -> Looked:
    """Take a visitor to a project's sessions; raises Refused for who is not signed in or does not belong."""
    with instance.read() as session:
        visitor = visitor_of(session, request, path)
        if visitor.user is None:
            raise unauthorized()
        params = dict(request.query_params)
        seen = visit(
            instance,
            session,
            visitor,
            method="GET",
            project=project,
            below="automate/sessions",
            names={},
            params=params,
        )
        seen.call.need_code()
        # Asked for while the transaction lasts: the page is made after it.
        _ = seen.level
        return Looked(visitor, seen)


async def listed(instance: Instance, looked: Looked) -> Shown:
    """What the page shows: the sessions, or why there are none to show."""
    user = looked.visitor.user
    rows: list[Row] = []
    problem = ""
    if user is not None and instance.agents_url:
        try:
            found = await sessions_of(instance, user.id, looked.seen.project.path_with_namespace)
            rows = [row_of(one) for one in found[:SHOWN]]
            rows = await to_thread.run_sync(_titled, instance, looked.seen, rows)
        except Refused as refused:
            problem = reason(refused)
    values = {"rows": rows, "problem": problem, "started": looked.seen.text("started")}
    return "sessions.html", {"title": "Sessions", "section": "sessions", "live": any(r.live for r in rows)} | values


def _titled(instance: Instance, seen: Visit, rows: list[Row]) -> list[Row]:
    """Give sessions without a title of their own that of what they are about."""
    with instance.read() as session:
        issues, requests = (
            {
                f"{kind}{iid}": title
                for iid, title in session.execute(
                    select(table.iid, table.title).where(
                        table.project_id == seen.project.id,
                        table.iid.in_([int(row.about[1:]) for row in rows if row.about.startswith(kind)]),
                    )
                )
            }
            for kind, table in (("#", Issue), ("!", MergeRequest))
        )
    titles = issues | requests
    return [row if row.title else replace(row, title=titles.get(row.about, "")) for row in rows]


# --- beginning one ---------------------------------------------------------------------------------


def _issue(seen: Visit) -> dict[str, object]:
    issue = seen.call.issue()
    if issue.state != "opened":
        raise forbidden("The issue is closed")
    return {"issue_id": issue.iid, "workflow_definition": "developer/v1"}


def _pipeline(seen: Visit) -> dict[str, object]:
    pipeline = seen.call.pipeline()
    if pipeline.status != "failed":
        raise forbidden("The pipeline has not failed")
    address = f"{web_url(seen.instance, seen.project)}/-/pipelines/{pipeline.id}"
    goal = f"Find out why pipeline #{pipeline.id} failed ({address}), and fix what made it fail."
    fields: dict[str, object] = {"workflow_definition": "software_development/v1", "goal": goal}
    opened = select(MergeRequest).where(
        MergeRequest.project_id == seen.project.id,
        MergeRequest.state == "opened",
        or_(MergeRequest.id == (pipeline.merge_request_id or 0), MergeRequest.source_branch == pipeline.ref),
    )
    if (found := seen.session.scalar(opened.order_by(MergeRequest.id.desc()).limit(1))) is not None:
        return fields | {"merge_request_id": found.iid, "source_branch": found.source_branch}
    return fields | {"source_branch": pipeline.ref}


Asked = Callable[[Visit], dict[str, object]]
ORDERS: tuple[tuple[re.Pattern[str], Asked], ...] = (
    (re.compile(r"issues/(?P<iid>\d{1,18})/generate_merge_request", re.ASCII), _issue),
    (re.compile(r"pipelines/(?P<pipeline_id>\d{1,18})/fix", re.ASCII), _pipeline),
)


def begins(below: str) -> bool:
    """Whether a form's address is that of a button which begins a session."""
    return any(pattern.fullmatch(below) for pattern, _ in ORDERS)


async def begin(instance: Instance, visitor: Visitor, project: str, below: str) -> str:
    """Begin a session in the visitor's name and give the address to show then; raises Refused."""
    user_id, home, fields = await to_thread.run_sync(_prepared, instance, visitor, project, below)
    number = await start_session(instance, user_id, fields)
    return f"{quote(home)}/-/automate/sessions?{urlencode({'started': number})}"


def _prepared(instance: Instance, visitor: Visitor, project: str, below: str) -> tuple[int, str, dict[str, object]]:
    """Check the right and put together what is asked, in a transaction that ends before the agents are asked."""
    if visitor.user is None:
        raise unauthorized()
    pattern, asked = next(one for one in ORDERS if one[0].fullmatch(below))
    found = pattern.fullmatch(below)
    with instance.read() as session:
        seen = visit(
            instance,
            session,
            visitor,
            method="POST",
            project=project,
            below=below,
            names=found.groupdict() if found else {},
            params={},
        )
        seen.call.need(access.DEVELOPER)
        fields = {"project_id": str(seen.project.id)} | asked(seen)
        return visitor.user.id, seen.home, fields
