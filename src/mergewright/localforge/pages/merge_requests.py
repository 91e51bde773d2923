"""Pages of merge requests."""

from typing import Any

from sqlalchemy import func, select

from mergewright.localforge import access, approval_rules
from mergewright.localforge.ci.pipelines import LIVE
from mergewright.localforge.mergeability import head_pipeline
from mergewright.localforge.notes import may_resolve
from mergewright.localforge.pages import pipelines as ci
from mergewright.localforge.pages.issues import labels, members, people_of
from mergewright.localforge.pages.review import ReviewPage
from mergewright.localforge.pages.visit import Shown, Visit
from mergewright.localforge.references import is_draft
from mergewright.localforge.tables import ChangeRequestBypass, MergeRequest, Pipeline, User

LISTED = 30
STATES = ("opened", "merged", "closed", "all")
COMMITS = 200


def index(seen: Visit) -> Shown:
    seen.call.need_code()
    state = seen.text("state") if seen.text("state") in STATES else "opened"
    rows = select(MergeRequest).where(MergeRequest.project_id == seen.project.id)
    if search := seen.text("search").strip().lower():
        rows = rows.where(func.instr(func.lower(MergeRequest.title), search) > 0)
    found = list(seen.session.scalars(rows.order_by(MergeRequest.id.desc())))
    counts = {one: sum(one in {"all", row.state} for row in found) for one in STATES}
    kept = [row for row in found if state in {"all", row.state}]
    start = (seen.page - 1) * LISTED
    listed = kept[start : start + LISTED]
    heads = {row.id: head_pipeline(seen.session, row) for row in listed}
    approved = {row.id for row in listed if approval_rules.approvals(seen.session, row)}
    values = {"rows": listed, "more": len(kept) > start + LISTED, "heads": heads, "approved": approved}
    values |= {"state": state, "counts": counts, "search": search, "people": people_of(seen, listed)}
    values["may_open"] = seen.may(access.DEVELOPER)
    return "merge_requests.html", {"title": "Merge requests", "section": "merge_requests"} | values


def new(seen: Visit) -> Shown:
    seen.call.need_code()
    branches = list(seen.call.repository.refs())
    given = {name: seen.text(name) for name in ("source_branch", "target_branch", "description")}
    given["target_branch"] = given["target_branch"] or seen.project.default_branch
    values = {"title": "New merge request", "section": "merge_requests", "branches": branches}
    return "new_merge_request.html", values | {"given": given, "given_title": seen.text("title")}


def _common(seen: Visit, tab: str) -> dict[str, Any]:
    """What stands above the tabs, whichever is open."""
    row = seen.call.merge_request()
    page = ReviewPage(seen.instance, seen.session, seen.project, row, seen.level >= access.REPORTER)
    commits = seen.call.repository.log(row.sha, f"^{row.base_sha}", limit=COMMITS) if row.sha else []
    rows = select(Pipeline).where(Pipeline.project_id == seen.project.id).order_by(Pipeline.id.desc())
    ours = (Pipeline.merge_request_id == row.id) | (
        Pipeline.merge_request_id.is_(None) & (Pipeline.ref == row.source_branch)
    )
    runs = list(seen.session.scalars(rows.where(ours).limit(100)))
    return {
        "title": f"{row.title} (!{row.iid})",
        "section": "merge_requests",
        "subject": row,
        "tab": tab,
        "page": page,
        "commits": commits,
        "runs": runs,
        "draft": is_draft(row.title),
        "pipeline": head_pipeline(seen.session, row),
        "may": _rights(seen, row, page),
        "reviewer_bot": seen.instance.settings.reviewer,
    }


def _rights(seen: Visit, row: MergeRequest, page: ReviewPage) -> dict[str, bool]:
    """What the visitor may do here, so that only such buttons are shown."""
    me, instance, session = seen.me, seen.instance, seen.session
    if me is None:
        return dict.fromkeys(
            ("edit", "note", "resolve", "approve", "revoke", "merge", "ask", "request", "bypass", "unbypass", "run"),
            False,
        )
    given = {one.user_id for one in approval_rules.approvals(session, row)}
    opened = row.state == "opened"
    requests = {one.user_id for one in approval_rules.requests(session, row)}
    merges = access.may_merge(session, seen.project, seen.level, row.target_branch)
    bypassed = session.get(ChangeRequestBypass, row.id) is not None
    holds = bool(requests) and approval_rules.licensed(instance) and opened and merges
    return {
        "edit": seen.may(access.DEVELOPER) or row.author_id == me.id,
        "note": True,
        "resolve": may_resolve(session, row, me),
        "approve": opened and approval_rules.may_approve(instance, session, row, me),
        "revoke": opened and me.id in given,
        "merge": merges and opened,
        "ask": opened and seen.may(access.DEVELOPER),
        "request": opened
        and me.id not in requests
        and any(user.id == me.id for user, _, _ in page.reviewers)
        and approval_rules.may_ask(instance, session, row, me),
        "bypass": holds and not bypassed,
        "unbypass": holds and bypassed,
        "run": opened and seen.may(access.DEVELOPER),
    }


def overview(seen: Visit) -> Shown:
    values = _common(seen, "overview")
    row: MergeRequest = values["subject"]
    asked = {user.id for user, _, _ in values["page"].reviewers}
    may_ask = values["may"]["ask"]
    candidates: list[User] = members(seen, level=access.REPORTER) if may_ask else []
    pipeline = values["pipeline"]
    more = {
        "people": people_of(seen, [row]),
        "candidates": [user for user in candidates if user.id != row.author_id],
        "asked": asked,
        "labels": labels(seen),
        "editing": seen.text("edit") == "1",
        "live": row.state == "opened" and pipeline is not None and pipeline.status in LIVE,
        "may_fix": bool(seen.instance.agents_url) and may_ask and pipeline is not None and pipeline.status == "failed",
    }
    return "merge_request.html", values | more


def changes(seen: Visit) -> Shown:
    values = _common(seen, "changes")
    asked = seen.text("comment") if values["may"]["note"] else ""
    return "changes.html", values | {"asked": asked, "chosen": values["page"].chosen(asked)}


def commits(seen: Visit) -> Shown:
    return "merge_request_commits.html", _common(seen, "commits")


def pipelines(seen: Visit) -> Shown:
    values = _common(seen, "pipelines")
    return "merge_request_pipelines.html", values | {"titles": ci.titles(seen, values["runs"])}
