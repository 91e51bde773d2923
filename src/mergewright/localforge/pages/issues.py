"""Pages of issues."""

from sqlalchemy import func, or_, select

from mergewright.localforge import access
from mergewright.localforge.notes import discussions_of
from mergewright.localforge.pages.visit import Shown, Visit
from mergewright.localforge.references import issues_mentioned
from mergewright.localforge.tables import Issue, Label, Member, MergeRequest, User

LISTED = 30
STATES = ("opened", "closed", "all")


def index(seen: Visit) -> Shown:
    state = seen.text("state") if seen.text("state") in STATES else "opened"
    rows = select(Issue).where(Issue.project_id == seen.project.id)
    if seen.level < access.REPORTER:
        rows = rows.where(or_(Issue.confidential.is_(False), Issue.author_id == (seen.me.id if seen.me else 0)))
    if search := seen.text("search").strip().lower():
        rows = rows.where(func.instr(func.lower(Issue.title), search) > 0)
    found = list(seen.session.scalars(rows.order_by(Issue.id.desc())))
    counts = {one: sum(one in {"all", row.state} for row in found) for one in STATES}
    kept = [row for row in found if state in {"all", row.state}]
    start = (seen.page - 1) * LISTED
    values = {"rows": kept[start : start + LISTED], "more": len(kept) > start + LISTED}
    values |= {"state": state, "counts": counts, "search": search, "people": people_of(seen, kept)}
    return "issues.html", {"title": "Issues", "section": "issues"} | values


def people_of(seen: Visit, rows: list[Issue] | list[MergeRequest]) -> dict[int, User]:
    """The users to whom rows are assigned, by number."""
    ids = {user_id for row in rows for user_id in row.assignee_ids}
    return {user.id: user for user in seen.session.scalars(select(User).where(User.id.in_(ids)))}


def members(seen: Visit, *, level: int) -> list[User]:
    """Who belongs to the project with at least a level, by name."""
    rows = select(User).join(Member, Member.user_id == User.id).order_by(User.username)
    return list(seen.session.scalars(rows.where(Member.project_id == seen.project.id, Member.access_level >= level)))


def new(seen: Visit) -> Shown:
    values = {"title": "New issue", "section": "issues", "given_title": seen.text("title")}
    return "new_issue.html", values | {"description": seen.text("description")}


def show(seen: Visit) -> Shown:
    row = seen.call.issue()
    internal = seen.level >= access.REPORTER
    found = discussions_of(seen.session, row)
    threads = [kept for notes in found if (kept := [note for note in notes if internal or not note.internal])]
    mine = seen.me is not None and row.author_id == seen.me.id
    values = {
        "subject": row,
        "threads": threads,
        "people": people_of(seen, [row]),
        "related": _related(seen, row),
        "may_edit": seen.may(access.REPORTER) or mine,
        "may_triage": seen.may(access.REPORTER),
        "may_develop": bool(seen.instance.agents_url) and row.state == "opened" and seen.may(access.DEVELOPER),
        "members": members(seen, level=access.REPORTER) if seen.may(access.REPORTER) else [],
        "labels": labels(seen),
        "editing": seen.text("edit") == "1",
        "started": seen.text("started"),
    }
    return "issue.html", {"title": f"{row.title} (#{row.iid})", "section": "issues"} | values


def labels(seen: Visit) -> dict[str, str]:
    """The project's labels, each with its description."""
    rows = seen.session.scalars(select(Label).where(Label.project_id == seen.project.id).order_by(Label.name))
    return {row.name: row.description or "" for row in rows}


def _related(seen: Visit, issue: Issue) -> list[MergeRequest]:
    """The merge requests that speak of an issue."""
    if not seen.reads_code:
        return []
    rows = select(MergeRequest).where(MergeRequest.project_id == seen.project.id).order_by(MergeRequest.id)
    return [
        row
        for row in seen.session.scalars(rows)
        if issue.iid in issues_mentioned(f"{row.title}\n{row.description or ''}", seen.project)
    ]
