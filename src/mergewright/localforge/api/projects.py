"""Projects."""

import re
import shutil

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from mergewright.localforge import access
from mergewright.localforge.approval_rules import settings_of
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.commits import FileAction, Person, set_branch, write_commit, write_tree
from mergewright.localforge.errors import Refused, forbidden, invalid
from mergewright.localforge.instance import Instance
from mergewright.localforge.pushes import protect_default
from mergewright.localforge.repository import safe_branch
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Member, Project, User
from mergewright.localforge.wire.projects import project_wire

SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}"
FULL_PATH = re.compile(rf"{SEGMENT}(/{SEGMENT})+")
VISIBILITIES = ("private", "internal", "public")
STATUS_CHECKS = "only_allow_merge_if_all_status_checks_passed"
FLAGS = (
    "only_allow_merge_if_pipeline_succeeds",
    "allow_merge_on_skipped_pipeline",
    "only_allow_merge_if_all_discussions_are_resolved",
    "remove_source_branch_after_merge",
    "autoclose_referenced_issues",
    "issues_enabled",
    "merge_requests_enabled",
    "jobs_enabled",
)


def entity(call: Call, project: Project) -> Wire:
    member = access.own_level(call.session, project, call.user)
    level = access.effective(call.user, member)
    return project_wire(call.instance, call.session, project, level=level, member=member)


def index(call: Call) -> Answer:
    query = select(Project).order_by(Project.id.desc())
    mine = select(Member.project_id).where(Member.user_id == (call.user.id if call.user else 0))
    if call.params.flag("membership"):
        query = query.where(Project.id.in_(mine))
    elif call.user is None or not call.user.admin:
        open_to_all = VISIBILITIES[1:] if call.user else VISIBILITIES[2:]
        query = query.where(or_(Project.id.in_(mine), Project.visibility.in_(open_to_all)))
    if call.params.flag("owned"):
        query = query.where(Project.creator_id == call.me.id)
    if level := call.params.integer("min_access_level"):
        query = query.where(Project.id.in_(mine.where(Member.access_level >= level)))
    if search := call.params.text("search"):
        query = query.where(func.instr(func.lower(Project.path_with_namespace), search.lower()) > 0)
    return call.rows(query, lambda project: entity(call, project))


def show(call: Call) -> Wire:
    return entity(call, call.project)


def new_project(
    instance: Instance,
    session: Session,
    full_path: str,
    *,
    name: str = "",
    creator: User | None,
    default_branch: str = "main",
    visibility: str = "private",
) -> Project:
    """Make a project with an empty repository; its creator owns it."""
    if not FULL_PATH.fullmatch(full_path) or full_path.endswith((".git", ".atom")) or "/-/" in full_path:
        raise invalid(path=["can contain only letters, digits, '_', '-' and '.'"])
    if not safe_branch(default_branch):
        raise invalid(default_branch=["is not a valid branch name"])
    if session.scalar(select(Project).where(func.lower(Project.path_with_namespace) == full_path.lower())):
        raise invalid(name=["has already been taken"], path=["has already been taken"])
    project = Project(
        path_with_namespace=full_path,
        name=name or full_path.rpartition("/")[2],
        creator_id=creator.id if creator else None,
        default_branch=default_branch,
        visibility=visibility,
    )
    session.add(project)
    session.flush()
    if creator:
        session.add(Member(project_id=project.id, user_id=creator.id, access_level=access.OWNER))
    protect_default(session, project)
    instance.repository(project).create(default_branch)
    return project


def create(call: Call) -> Wire:
    params = call.params
    if "name" not in params and "path" not in params:
        raise Refused(400, {"error": "name, path are missing, at least one parameter must be provided"})
    name = params.text("name") or params.text("path")
    path = params.text("path") or re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.").lower()
    # A person's own namespace has the person's number; the owner of the forge seeds all others.
    if params.integer("namespace_id", call.me.id) != call.me.id:
        raise invalid(namespace=["is not valid"])
    project = new_project(
        call.instance,
        call.session,
        f"{call.me.username}/{path}",
        name=name,
        creator=call.me,
        default_branch=params.text("default_branch") or "main",
        visibility=params.choice("visibility", VISIBILITIES, "private"),
    )
    project.description = params.text("description")
    _set_flags(call, project)
    if params.flag("initialize_with_readme"):
        _add_readme(call, project)
    return entity(call, project)


def _add_readme(call: Call, project: Project) -> None:
    repository = call.instance.repository(project)
    tree = write_tree(repository, None, [FileAction("create", "README.md", f"# {project.name}\n".encode())])
    person = Person(call.me.name, call.me.email)
    commit = write_commit(repository, tree, [], "Initial commit", author=person, committer=person)
    set_branch(repository, project.default_branch, commit, old="")


def _set_flags(call: Call, project: Project) -> None:
    for name in FLAGS:
        value = call.params.flag(name)
        if value is not None:
            setattr(project, name, value)
    value = call.params.flag(STATUS_CHECKS)
    if value is not None and call.instance.settings.tier == "ultimate":
        settings = settings_of(call.session, project.id)
        settings.only_allow_merge_if_all_status_checks_passed = value
        call.session.add(settings)


def update(call: Call) -> Wire:
    call.need(access.MAINTAINER)
    project, params = call.project, call.params
    if "visibility" in params or "path" in params:
        call.need(access.OWNER)
    project.name = params.text("name") or project.name
    project.description = params.text("description", project.description)
    project.visibility = params.choice("visibility", VISIBILITIES, project.visibility)
    if branch := params.text("default_branch"):
        if call.repository.branch(branch) is None and not call.repository.empty():
            raise invalid(base=[f"Could not set the default branch. Do you have a branch named '{branch}'?"])
        if not safe_branch(branch):
            raise invalid(default_branch=["is not a valid branch name"])
        project.default_branch = branch
        call.repository.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
        protect_default(call.session, project)
    _set_flags(call, project)
    return entity(call, project)


def delete(call: Call) -> Answer:
    if call.level < access.OWNER:
        raise forbidden()
    call.session.delete(call.project)
    call.session.flush()
    shutil.rmtree(call.repository.path)
    return Answer({"message": "202 Accepted"}, status=202)


ROUTES = [
    Route("GET", "/projects", index),
    Route("POST", "/projects", create),
    Route("GET", "/projects/:id", show),
    Route("PUT", "/projects/:id", update),
    Route("DELETE", "/projects/:id", delete),
]
