"""Issues."""

from sqlalchemy import func, or_, select

from mergewright.localforge import access
from mergewright.localforge.announce import announce_issue
from mergewright.localforge.api import labels
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.clock import now
from mergewright.localforge.errors import Refused, forbidden, invalid
from mergewright.localforge.merge_requests import closing_iids
from mergewright.localforge.notes import add_system_note, close_issue, cross_reference, reopen_issue
from mergewright.localforge.quick_actions import run_commands
from mergewright.localforge.references import issues_mentioned
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Issue, MergeRequest, Project, User
from mergewright.localforge.wire.issues import issue_wire
from mergewright.localforge.wire.merge_requests import merge_request_basic


def entity(call: Call, issue: Issue) -> Wire:
    return issue_wire(call.instance, call.session, issue)


def index(call: Call) -> Answer:
    params = call.params
    query = select(Issue).where(Issue.project_id == call.project.id)
    if call.level < access.REPORTER:
        query = query.where(or_(Issue.confidential.is_(False), Issue.author_id == (call.user.id if call.user else 0)))
    if (state := params.text("state")) and state != "all":
        query = query.where(Issue.state == state)
    if "iids" in params:
        query = query.where(Issue.iid.in_(params.integers("iids")))
    if search := params.text("search"):
        text = search.lower()
        in_title = func.instr(func.lower(Issue.title), text) > 0
        query = query.where(or_(in_title, func.instr(func.lower(func.coalesce(Issue.description, "")), text) > 0))
    if author := params.text("author_username"):
        query = query.join(User, User.id == Issue.author_id).where(User.username == author)
    column = Issue.updated_at if params.text("order_by") == "updated_at" else Issue.created_at
    ascending = params.text("sort") == "asc"
    query = query.order_by(
        column.asc() if ascending else column.desc(), Issue.id.asc() if ascending else Issue.id.desc()
    )
    wanted = params.texts("labels")
    assignee = params.integer("assignee_id")
    if wanted or assignee:
        rows = [
            row
            for row in call.session.scalars(query)
            if set(wanted) <= set(row.labels) and (not assignee or assignee in row.assignee_ids)
        ]
        return call.items(rows, lambda issue: entity(call, issue))
    return call.rows(query, lambda issue: entity(call, issue))


def show(call: Call) -> Wire:
    return entity(call, call.issue())


def create(call: Call) -> Wire:
    # Whoever sees a project may open an issue there.
    if not access.can_see(call.project, call.me, call.level):
        raise forbidden()
    title = call.params.required("title").strip()
    if not title or len(title) > 255:
        raise invalid(title=["can't be blank" if not title else "is too long (maximum is 255 characters)"])
    newest = call.session.scalar(select(func.max(Issue.iid)).where(Issue.project_id == call.project.id)) or 0
    issue = Issue(
        iid=newest + 1,
        project_id=call.project.id,
        title=title,
        description=call.params.text("description") or None,
        author_id=call.me.id,
        confidential=bool(call.params.flag("confidential")),
        labels=[],
        assignee_ids=[],
    )
    if call.level >= access.REPORTER:
        issue.labels = call.params.texts("labels")
        issue.assignee_ids = assignees(call, [])
    labels.ensure(call.session, call.project.id, issue.labels)
    call.session.add(issue)
    call.session.flush()
    _ordered(call, issue)
    cross_reference(call.session, issue, call.me, issue.description)
    announce_issue(call.instance, call.session, issue, call.me, "open")
    return entity(call, issue)


def _ordered(call: Call, issue: Issue) -> None:
    """Carry out the quick actions of a description; they are no part of it."""
    issue.description = run_commands(call.instance, call.session, issue, call.me, issue.description or "").text or None


def assignees(call: Call, before: list[int]) -> list[int]:
    """The assignees a request asks for; the free tier keeps one."""
    single = call.params.integer("assignee_id")
    if "assignee_ids" in call.params:
        ids = call.params.integers("assignee_ids")
    elif "assignee_id" in call.params:
        ids = [single] if single else []
    else:
        return before
    known = set(call.session.scalars(select(User.id).where(User.id.in_(ids))))
    ids = [user_id for user_id in dict.fromkeys(ids) if user_id in known]
    return ids[:1] if call.instance.settings.tier == "free" else ids


def changed_labels(call: Call, before: list[str]) -> list[str]:
    """The labels after `labels`, `add_labels` and `remove_labels`."""
    after = call.params.texts("labels") if "labels" in call.params else list(before)
    after += [name for name in call.params.texts("add_labels") if name not in after]
    removed = set(call.params.texts("remove_labels"))
    after = [name for name in after if name not in removed]
    labels.ensure(call.session, call.project.id, after)
    return after


def update(call: Call) -> Wire:
    issue, params = call.issue(), call.params
    if call.level < access.REPORTER and issue.author_id != call.me.id:
        raise forbidden()
    event = params.choice("state_event", ("close", "reopen"))
    before = {name: getattr(issue, name) for name in ("title", "description", "labels", "assignee_ids", "confidential")}
    if "title" in params:
        issue.title = params.required("title")
    if "description" in params:
        issue.description = params.text("description") or None
    if issue.description != before["description"]:
        _ordered(call, issue)
    if call.level >= access.REPORTER:
        issue.labels = changed_labels(call, issue.labels)
        issue.assignee_ids = assignees(call, issue.assignee_ids)
    issue.confidential = params.flag("confidential", issue.confidential) is True
    changes = {
        name: {"previous": old, "current": getattr(issue, name)}
        for name, old in before.items()
        if old != getattr(issue, name)
    }
    if changes:
        issue.updated_at = now()
        _note_changes(call, issue, changes)
        announce_issue(call.instance, call.session, issue, call.me, "update", changes)
    if event == "close":
        close_issue(call.instance, call.session, issue, call.me)
    elif event == "reopen":
        reopen_issue(call.instance, call.session, issue, call.me)
    elif not changes and not set(params.values) - {"id", "issue_iid"}:
        raise Refused(400, {"error": "title, description, labels are missing, at least one parameter must be provided"})
    return entity(call, issue)


def _note_changes(call: Call, issue: Issue, changes: Wire) -> None:
    if "title" in changes:
        old, new = changes["title"]["previous"], changes["title"]["current"]
        add_system_note(call.session, issue, call.me, f"changed title from **{old}** to **{new}**")
    if "description" in changes:
        add_system_note(call.session, issue, call.me, "changed the description")
        cross_reference(call.session, issue, call.me, issue.description)
    if "assignee_ids" in changes:
        people = call.session.scalars(select(User.username).where(User.id.in_(issue.assignee_ids)))
        names = " and ".join(f"@{name}" for name in people)
        add_system_note(call.session, issue, call.me, f"assigned to {names}" if names else "removed assignee")


def delete(call: Call) -> Answer:
    call.need(access.OWNER)
    call.session.delete(call.issue())
    return Answer(status=204)


def _merge_requests(call: Call) -> list[MergeRequest]:
    call.need_code()
    rows = select(MergeRequest).where(MergeRequest.project_id == call.project.id).order_by(MergeRequest.id)
    return list(call.session.scalars(rows))


def related_merge_requests(call: Call) -> Answer:
    issue, project = call.issue(), call.project
    found = [
        row
        for row in _merge_requests(call)
        if issue.iid in issues_mentioned(f"{row.title}\n{row.description or ''}", project)
        or issue.iid in closing_iids(call.instance, project, row)
    ]
    return call.items(found, lambda row: merge_request_basic(call.instance, call.session, row))


def closed_by(call: Call) -> Answer:
    issue = call.issue()
    project: Project = call.project
    found = [row for row in _merge_requests(call) if issue.iid in closing_iids(call.instance, project, row)]
    return call.items(found, lambda row: merge_request_basic(call.instance, call.session, row))


ROUTES = [
    Route("GET", "/projects/:id/issues", index),
    Route("POST", "/projects/:id/issues", create),
    Route("GET", "/projects/:id/issues/:iid", show),
    Route("PUT", "/projects/:id/issues/:iid", update),
    Route("DELETE", "/projects/:id/issues/:iid", delete),
    Route("GET", "/projects/:id/issues/:iid/related_merge_requests", related_merge_requests),
    Route("GET", "/projects/:id/issues/:iid/closed_by", closed_by),
]
