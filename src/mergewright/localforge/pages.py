"""Small pages behind the printed addresses: a person clicks one and sees what is true."""

import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from mergewright.localforge.ci.pipelines import jobs_of
from mergewright.localforge.ci.runner import read_trace
from mergewright.localforge.instance import Instance
from mergewright.localforge.markdown import markdown
from mergewright.localforge.mergeability import head_pipeline
from mergewright.localforge.notes import discussions_of
from mergewright.localforge.review_page import ReviewPage
from mergewright.localforge.tables import Issue, Job, MergeRequest, Pipeline, Project

if TYPE_CHECKING:
    from jinja2 import Environment

SUBJECT = re.compile(
    r"/(?P<project>.+?)/-/(?P<noun>issues|merge_requests|pipelines|jobs)/(?P<number>\d{1,18})(?P<tab>/diffs)?/?",
    re.ASCII,
)
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
SHOWN_TRACE = 200_000
Shown = tuple[str, dict[str, Any]]


@cache
def templates() -> "Environment":
    # Here, not above: a forge that nobody looks at never needs it.
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("mergewright.localforge"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["markdown"] = markdown
    return environment


async def serve_page(instance: Instance, request: Request) -> Response:
    """Show a page to the person at this machine; nobody else's request gets here."""
    if request.method not in {"GET", "HEAD"}:
        return PlainTextResponse("405 Method Not Allowed\n", status_code=405)
    return await to_thread.run_sync(_page, instance, request.scope["path"])


def _page(instance: Instance, path: str) -> Response:
    with instance.read() as session:
        shown = _shown(instance, session, path)
        if shown is None:
            page = templates().get_template("missing.html").render(title="Not found", home="/")
            return HTMLResponse(page, status_code=404, headers=HEADERS)
        name, values = shown
        return HTMLResponse(templates().get_template(name).render(home="/", **values), headers=HEADERS)


def _shown(instance: Instance, session: Session, path: str) -> Shown | None:
    if path == "/":
        projects = session.scalars(select(Project).order_by(Project.path_with_namespace)).all()
        return "home.html", {"title": "Projects", "projects": projects}
    if found := SUBJECT.fullmatch(path):
        project = _project(session, found["project"])
        if project and found["tab"]:
            changes = found["noun"] == "merge_requests"
            return _merge_request(instance, session, project, int(found["number"]), tab="changes") if changes else None
        return PAGES[found["noun"]](instance, session, project, int(found["number"])) if project else None
    project = _project(session, path.strip("/").removesuffix("/-/issues").removesuffix("/-/merge_requests"))
    return _project_page(instance, session, project) if project else None


def _project(session: Session, path: str) -> Project | None:
    return session.scalar(select(Project).where(func.lower(Project.path_with_namespace) == path.lower()))


def _project_page(instance: Instance, session: Session, project: Project) -> Shown:
    def newest(table: Any) -> list[Any]:
        rows = select(table).where(table.project_id == project.id).order_by(table.id.desc()).limit(50)
        return list(session.scalars(rows))

    values = {"project": project, "title": project.path_with_namespace, "branches": instance.repository(project).refs()}
    lists = {"issues": newest(Issue), "merge_requests": newest(MergeRequest), "pipelines": newest(Pipeline)}
    return "project.html", values | lists


def _issue(instance: Instance, session: Session, project: Project, iid: int) -> Shown | None:
    row = session.scalar(select(Issue).where(Issue.project_id == project.id, Issue.iid == iid))
    if row is None:
        return None
    values = {"project": project, "subject": row, "title": row.title}
    return "issue.html", values | {"threads": discussions_of(session, row)}


def _merge_request(
    instance: Instance, session: Session, project: Project, iid: int, *, tab: str = "overview"
) -> Shown | None:
    row = session.scalar(select(MergeRequest).where(MergeRequest.project_id == project.id, MergeRequest.iid == iid))
    if row is None:
        return None
    values = {"project": project, "subject": row, "title": row.title, "tab": tab}
    page = ReviewPage(instance, session, project, row)
    return "merge_request.html", values | {"page": page, "pipeline": head_pipeline(session, row)}


def _pipeline(instance: Instance, session: Session, project: Project, number: int) -> Shown | None:
    row = session.get(Pipeline, number)
    if row is None or row.project_id != project.id:
        return None
    values = {"project": project, "pipeline": row, "title": f"Pipeline #{row.id}", "runs_jobs": instance.runs_jobs}
    return "pipeline.html", values | {"jobs": jobs_of(session, row)}


def _job(instance: Instance, session: Session, project: Project, number: int) -> Shown | None:
    row = session.get(Job, number)
    if row is None or row.project_id != project.id:
        return None
    trace = read_trace(instance, row)[-SHOWN_TRACE:].decode("utf-8", "replace")
    return "job.html", {"project": project, "job": row, "title": f"Job {row.name}", "trace": trace}


PAGES: dict[str, Callable[[Instance, Session, Project, int], Shown | None]] = {
    "issues": _issue,
    "merge_requests": _merge_request,
    "pipelines": _pipeline,
    "jobs": _job,
}
