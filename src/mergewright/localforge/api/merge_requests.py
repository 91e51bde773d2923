"""Merge requests: make, change, list, merge."""

from sqlalchemy import Select, func, or_, select

from mergewright.localforge import access
from mergewright.localforge.announce import announce_merge_request
from mergewright.localforge.api import labels
from mergewright.localforge.api.issues import assignees, changed_labels
from mergewright.localforge.api.merge_request_state import record_changes
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.clock import now
from mergewright.localforge.errors import Refused, forbidden, invalid
from mergewright.localforge.merge_requests import change_state, refresh
from mergewright.localforge.notes import cross_reference
from mergewright.localforge.pushes import merge_request_pipeline
from mergewright.localforge.quick_actions import run_commands
from mergewright.localforge.references import is_draft
from mergewright.localforge.reviewers import set_reviewers
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Member, MergeRequest, Project, Reviewer, User
from mergewright.localforge.wire.merge_requests import (
    merge_request_basic,
    merge_request_wire,
    reviewer_wire,
    reviewers,
)

DESCRIPTION_LIMIT = 1_048_576


def entity(call: Call, merge_request: MergeRequest) -> Wire:
    diverged = bool(call.params.flag("include_diverged_commits_count"))
    return merge_request_wire(call.instance, call.session, merge_request, level=call.level, diverged=diverged)


def _basic(call: Call, merge_request: MergeRequest) -> Wire:
    return merge_request_basic(call.instance, call.session, merge_request)


def index(call: Call) -> Answer:
    call.need_code()
    return _listed(call, select(MergeRequest).where(MergeRequest.project_id == call.project.id))


def everywhere(call: Call) -> Answer:
    """Merge requests of all projects the user belongs to; by default those the user made."""
    mine = select(Member.project_id).where(Member.user_id == call.me.id, Member.access_level >= access.REPORTER)
    query = select(MergeRequest)
    if not call.me.admin:
        open_projects = select(Project.id).where(Project.visibility != "private")
        query = query.where(or_(MergeRequest.project_id.in_(mine), MergeRequest.project_id.in_(open_projects)))
    scope = call.params.choice("scope", ("created_by_me", "assigned_to_me", "all", "reviews_for_me"), "created_by_me")
    if scope == "created_by_me":
        query = query.where(MergeRequest.author_id == call.me.id)
    elif scope == "reviews_for_me":
        asked = select(Reviewer.merge_request_id).where(Reviewer.user_id == call.me.id)
        query = query.where(MergeRequest.id.in_(asked))
    return _listed(call, query, assigned_to=call.me.id if scope == "assigned_to_me" else None)


def _listed(call: Call, query: Select[MergeRequest], *, assigned_to: int | None = None) -> Answer:
    """Apply the filters of the request; those on stored lists and titles are applied in Python."""
    params = call.params
    states = ("opened", "closed", "merged", "locked", "all")
    if (state := params.choice("state", states, "all")) != "all":
        query = query.where(MergeRequest.state == state)
    for name, column in (("source_branch", MergeRequest.source_branch), ("target_branch", MergeRequest.target_branch)):
        if value := params.text(name):
            query = query.where(column == value)
    if "iids" in params:
        query = query.where(MergeRequest.iid.in_(params.integers("iids")))
    for name, key in (("author_id", User.id), ("author_username", User.username)):
        if value := params.text(name):
            query = query.where(MergeRequest.author_id.in_(select(User.id).where(key == value)))
    for name, key in (("reviewer_id", User.id), ("reviewer_username", User.username)):
        if value := params.text(name):
            asked = select(Reviewer.merge_request_id).join(User, User.id == Reviewer.user_id).where(key == value)
            query = query.where(MergeRequest.id.in_(asked))
    if search := params.text("search"):
        found = func.instr(
            func.lower(MergeRequest.title + "\n" + func.coalesce(MergeRequest.description, "")), search.lower()
        )
        query = query.where(found > 0)
    if params.text("updated_after"):
        query = query.where(MergeRequest.updated_at >= params.text("updated_after"))
    column = MergeRequest.updated_at if params.text("order_by") == "updated_at" else MergeRequest.created_at
    ascending = params.text("sort") == "asc"
    order = (column.asc(), MergeRequest.id.asc()) if ascending else (column.desc(), MergeRequest.id.desc())
    wip, draft, assignee = params.text("wip"), params.flag("draft"), assigned_to or params.integer("assignee_id")
    want_draft = {"yes": True, "no": False}.get(wip, draft)
    wanted = set(params.texts("labels"))
    rows = [
        row
        for row in call.session.scalars(query.order_by(*order))
        if wanted <= set(row.labels)
        and (want_draft is None or is_draft(row.title) == want_draft)
        and (not assignee or assignee in row.assignee_ids)
    ]
    return call.items(rows, lambda row: _basic(call, row))


def show(call: Call) -> Wire:
    return entity(call, call.merge_request())


def _check_text(title: str, description: str) -> None:
    if not title.strip():
        raise invalid(title=["can't be blank"])
    if len(title) > 255:
        raise invalid(title=["is too long (maximum is 255 characters)"])
    if len(description) > DESCRIPTION_LIMIT:
        raise invalid(description=[f"is too long (maximum is {DESCRIPTION_LIMIT} characters)"])


def create(call: Call) -> Wire:
    call.need(access.DEVELOPER)
    params = call.params
    source, target = params.required("source_branch"), params.required("target_branch")
    title, description = params.required("title"), params.text("description")
    _check_text(title, description)
    if (params.integer("target_project_id") or call.project.id) != call.project.id:
        raise Refused(422, {"error": ["Source project is not a fork of the target project"]})
    if source == target:
        raise Refused(422, {"error": ["You can't use same project/branch for source and target"]})
    for name, branch in (("source", source), ("target", target)):
        if call.repository.branch(branch) is None:
            raise Refused(400, {"message": {f"{name}_branch": ["does not exist"]}})
    same = select(MergeRequest.iid).where(
        MergeRequest.project_id == call.project.id,
        MergeRequest.source_branch == source,
        MergeRequest.target_branch == target,
        MergeRequest.state == "opened",
    )
    if (other := call.session.scalar(same)) is not None:
        raise Refused(409, {"message": [f"Another open merge request already exists for this source branch: !{other}"]})
    rows = select(func.max(MergeRequest.iid)).where(MergeRequest.project_id == call.project.id)
    merge_request = MergeRequest(
        iid=(call.session.scalar(rows) or 0) + 1,
        project_id=call.project.id,
        title=title,
        description=description or None,
        author_id=call.me.id,
        source_branch=source,
        target_branch=target,
        labels=params.texts("labels"),
        assignee_ids=assignees(call, []),
        squash=bool(params.flag("squash")),
        force_remove_source_branch=bool(
            params.flag("remove_source_branch", call.project.remove_source_branch_after_merge)
        ),
    )
    labels.ensure(call.session, call.project.id, merge_request.labels)
    call.session.add(merge_request)
    call.session.flush()
    assign_reviewers(call, merge_request)
    refresh(call.instance, call.session, merge_request)
    done = run_commands(call.instance, call.session, merge_request, call.me, description)
    merge_request.description = done.text or None
    cross_reference(call.session, merge_request, call.me, f"{title}\n{description}")
    announce_merge_request(call.instance, call.session, merge_request, call.me, "open")
    merge_request_pipeline(call.instance, call.session, merge_request, call.me)
    return entity(call, merge_request)


def assign_reviewers(call: Call, merge_request: MergeRequest) -> None:
    """Ask the reviewers that the request names."""
    if "reviewer_ids" not in call.params:
        return
    named = [call.session.get(User, user_id) for user_id in call.params.integers("reviewer_ids")]
    set_reviewers(call.instance, call.session, merge_request, [user for user in named if user])


def _facts(call: Call, row: MergeRequest) -> Wire:
    """What a change of a merge request is measured by."""
    return {
        "title": row.title,
        "description": row.description,
        "target_branch": row.target_branch,
        "labels": list(row.labels),
        "assignees": list(row.assignee_ids),
        "reviewers": [reviewer.user_id for reviewer in reviewers(call.session, row)],
        "draft": is_draft(row.title),
    }


def update(call: Call) -> Wire:
    merge_request, params = call.merge_request(), call.params
    if call.level < access.DEVELOPER and merge_request.author_id != call.me.id:
        raise forbidden()
    event = params.choice("state_event", ("close", "reopen"))
    before = _facts(call, merge_request)
    title = params.text("title", merge_request.title)
    description = params.text("description", merge_request.description or "")
    _check_text(title, description)
    merge_request.title, merge_request.description = title, description or None
    if (target := params.text("target_branch")) and target != merge_request.target_branch:
        if call.repository.branch(target) is None:
            raise Refused(400, {"message": {"target_branch": ["does not exist"]}})
        merge_request.target_branch = target
        refresh(call.instance, call.session, merge_request)
    merge_request.labels = changed_labels(call, merge_request.labels)
    merge_request.assignee_ids = assignees(call, merge_request.assignee_ids)
    merge_request.squash = params.flag("squash", merge_request.squash) is True
    keep = params.flag("remove_source_branch", merge_request.force_remove_source_branch)
    merge_request.force_remove_source_branch = keep is True
    assign_reviewers(call, merge_request)
    if description != (before["description"] or ""):
        done = run_commands(call.instance, call.session, merge_request, call.me, description)
        merge_request.description = done.text or None
    after = _facts(call, merge_request)
    if after != before:
        merge_request.updated_at = now()
        record_changes(call, merge_request, before, after)
    change_state(call.instance, call.session, merge_request, call.me, event)
    return entity(call, merge_request)


def delete(call: Call) -> Answer:
    call.need(access.OWNER)
    call.session.delete(call.merge_request())
    return Answer(status=204)


def list_reviewers(call: Call) -> list[Wire]:
    return [reviewer_wire(call.instance, row) for row in reviewers(call.session, call.merge_request())]


ROUTES = [
    Route("GET", "/merge_requests", everywhere),
    Route("GET", "/projects/:id/merge_requests", index),
    Route("POST", "/projects/:id/merge_requests", create),
    Route("GET", "/projects/:id/merge_requests/:iid", show),
    Route("PUT", "/projects/:id/merge_requests/:iid", update),
    Route("DELETE", "/projects/:id/merge_requests/:iid", delete),
    Route("GET", "/projects/:id/merge_requests/:iid/reviewers", list_reviewers),
]
