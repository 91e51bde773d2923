"""The pages of a forge's projects, and of one of them."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mergewright.localforge import access
from mergewright.localforge.instance import Instance
from mergewright.localforge.pages.files import front, newest_pipeline
from mergewright.localforge.pages.visit import Shown, Visit, Visitor
from mergewright.localforge.tables import Issue, MergeRequest, Project
from mergewright.localforge.wire.projects import git_url


def home(instance: Instance, session: Session, visitor: Visitor) -> Shown:
    """The projects that a visitor can see."""
    rows = []
    for project in session.scalars(select(Project).order_by(Project.path_with_namespace)):
        level = access.access_level(session, project, visitor.user)
        if access.can_see(project, visitor.user, level):
            rows.append((project, *_counts(session, project)))
    return "home.html", {"title": "Projects", "projects": rows}


def _counts(session: Session, project: Project) -> tuple[int, int]:
    def opened(table: type[Issue] | type[MergeRequest]) -> int:
        rows = select(func.count()).where(table.project_id == project.id, table.state == "opened")
        return session.scalar(rows) or 0

    return opened(Issue), opened(MergeRequest)


def show(seen: Visit) -> Shown:
    project = seen.project
    issues, merge_requests = _counts(seen.session, project)
    values: dict[str, Any] = {"title": project.path_with_namespace, "section": "project", "place": front(seen)}
    if seen.reads_code:
        repository = seen.call.repository
        values |= {"branches": len(repository.refs()), "clone": git_url(seen.instance, project)}
        values["pipeline"] = newest_pipeline(seen, values["place"].sha) if values["place"] else None
    return "project.html", {"issues": issues, "merge_requests": merge_requests} | values
