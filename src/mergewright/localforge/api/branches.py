"""Branches, tags and their protection."""

from sqlalchemy import select

from mergewright.localforge.access import MAINTAINER, may_push, protection
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.commits import delete_branch, set_branch
from mergewright.localforge.errors import Refused, not_found
from mergewright.localforge.pushes import NO_SHA, RefUpdate, after_push, refusal
from mergewright.localforge.repository import safe_branch
from mergewright.localforge.router import Route
from mergewright.localforge.tables import ProtectedBranch
from mergewright.localforge.wire.repository import branch_wire, commit_wire, protected_branch_wire


def _entity(call: Call, name: str) -> Wire:
    sha = call.repository.branch(name) or ""
    head = call.repository.branch(call.project.default_branch)
    merged = name != call.project.default_branch and bool(head) and call.repository.is_ancestor(sha, head or "")
    return branch_wire(
        call.instance,
        call.project,
        name,
        call.repository.commit(sha),
        rule=protection(call.session, call.project, name),
        merged=merged,
        can_push=may_push(call.session, call.project, call.level, name),
    )


def index(call: Call) -> Answer:
    call.need_code()
    search = call.params.text("search")
    names = sorted(call.repository.refs())
    if search.startswith("^"):
        names = [name for name in names if name.startswith(search[1:])]
    elif search:
        names = [name for name in names if search.lower() in name.lower()]
    return call.items(names, lambda name: _entity(call, name))


def _branch(call: Call) -> str:
    call.need_code()
    name = call.names["branch"]
    if call.repository.branch(name) is None:
        raise not_found("Branch")
    return name


def show(call: Call) -> Wire:
    return _entity(call, _branch(call))


def _refuse(call: Call, update: RefUpdate) -> None:
    if reason := refusal(call.instance, call.session, call.project, call.me, update):
        raise Refused(403, {"message": reason})


def create(call: Call) -> Wire:
    call.need(30)
    name, ref = call.params.required("branch"), call.params.required("ref")
    if not safe_branch(name):
        raise Refused(400, {"message": f"Failed to create branch '{name}': invalid reference name '{name}'"})
    if call.repository.branch(name):
        raise Refused(400, {"message": "Branch already exists"})
    sha = call.repository.resolve(ref)
    if sha is None:
        raise Refused(400, {"message": f"Failed to create branch '{name}': invalid reference name '{ref}'"})
    update = RefUpdate(NO_SHA, sha, f"refs/heads/{name}")
    _refuse(call, update)
    set_branch(call.repository, name, sha, old="")
    after_push(call.instance, call.session, call.project, call.me, update)
    return _entity(call, name)


def delete(call: Call) -> Answer:
    call.need(30)
    name = _branch(call)
    update = RefUpdate(call.repository.branch(name) or "", NO_SHA, f"refs/heads/{name}")
    rule = protection(call.session, call.project, name)
    if name == call.project.default_branch or (rule and call.level < MAINTAINER):
        _refuse(call, update)
    delete_branch(call.repository, name)
    after_push(call.instance, call.session, call.project, call.me, update)
    return Answer(status=204)


def protected(call: Call) -> Answer:
    call.need(30)
    query = select(ProtectedBranch).where(ProtectedBranch.project_id == call.project.id)
    return call.rows(query.order_by(ProtectedBranch.id), protected_branch_wire)


def _rule(call: Call) -> ProtectedBranch:
    call.need(30)
    rule = call.session.scalar(
        select(ProtectedBranch).where(
            ProtectedBranch.project_id == call.project.id, ProtectedBranch.name == call.names["name"]
        )
    )
    if rule is None:
        raise not_found()
    return rule


def show_protected(call: Call) -> Wire:
    return protected_branch_wire(_rule(call))


def protect(call: Call) -> Wire:
    call.need(MAINTAINER)
    name = call.params.required("name")
    known = select(ProtectedBranch).where(ProtectedBranch.project_id == call.project.id, ProtectedBranch.name == name)
    if call.session.scalar(known):
        raise Refused(409, {"message": f"Protected branch '{name}' already exists"})
    rule = ProtectedBranch(
        project_id=call.project.id,
        name=name,
        push_access_level=_level(call, "push_access_level"),
        merge_access_level=_level(call, "merge_access_level"),
        allow_force_push=bool(call.params.flag("allow_force_push")),
    )
    call.session.add(rule)
    call.session.flush()
    return protected_branch_wire(rule)


def _level(call: Call, name: str) -> int:
    level = call.params.integer(name, 40)
    if level not in {0, 30, 40, 60}:
        raise Refused(400, {"error": f"{name} does not have a valid value"})
    return level


def unprotect(call: Call) -> Answer:
    call.need(MAINTAINER)
    call.session.delete(_rule(call))
    return Answer(status=204)


def tags(call: Call) -> Answer:
    call.need_code()
    names = sorted(call.repository.refs("refs/tags/"), reverse=True)
    return call.items(names, lambda name: _tag(call, name))


def _tag(call: Call, name: str) -> Wire:
    sha = call.repository.resolve(f"refs/tags/{name}")
    commit = call.repository.commit(sha) if sha else None
    return {
        "name": name,
        "message": "",
        "target": sha,
        "commit": commit_wire(call.instance, call.project, commit) if commit else None,
        "release": None,
        "protected": False,
        "created_at": None,
    }


def show_tag(call: Call) -> Wire:
    call.need_code()
    if call.names["name"] not in call.repository.refs("refs/tags/"):
        raise not_found("Tag")
    return _tag(call, call.names["name"])


ROUTES = [
    Route("GET", "/projects/:id/repository/branches", index),
    Route("POST", "/projects/:id/repository/branches", create),
    Route("GET", "/projects/:id/repository/branches/:branch", show),
    Route("DELETE", "/projects/:id/repository/branches/:branch", delete),
    Route("GET", "/projects/:id/protected_branches", protected),
    Route("POST", "/projects/:id/protected_branches", protect),
    Route("GET", "/projects/:id/protected_branches/:name", show_protected),
    Route("DELETE", "/projects/:id/protected_branches/:name", unprotect),
    Route("GET", "/projects/:id/repository/tags", tags),
    Route("GET", "/projects/:id/repository/tags/:name", show_tag),
]
