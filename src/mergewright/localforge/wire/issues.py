"""Issues on the wire."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mergewright.localforge.call import Wire
from mergewright.localforge.clock import hook_time
from mergewright.localforge.instance import Instance
from mergewright.localforge.references import task_completion
from mergewright.localforge.tables import AwardEmoji, Issue, Label, MergeRequest, Note, Project
from mergewright.localforge.wire.projects import hook_label, web_url
from mergewright.localforge.wire.users import user_basic, user_or_none, users_by_id

TIME_STATS = {
    "time_estimate": 0,
    "total_time_spent": 0,
    "human_time_estimate": None,
    "human_total_time_spent": None,
}


def issue_url(instance: Instance, project: Project, issue: Issue) -> str:
    return f"{web_url(instance, project)}/-/issues/{issue.iid}"


def count_notes(session: Session, kind: str, row_id: int) -> int:
    """How many notes people wrote on a subject."""
    rows = select(func.count()).where(Note.noteable_type == kind, Note.noteable_id == row_id, Note.system.is_(False))
    return session.scalar(rows) or 0


def count_votes(session: Session, kind: str, row_id: int) -> dict[str, int]:
    rows = session.scalars(
        select(AwardEmoji.name).where(AwardEmoji.awardable_type == kind, AwardEmoji.awardable_id == row_id)
    ).all()
    return {"upvotes": rows.count("thumbsup"), "downvotes": rows.count("thumbsdown")}


def references(project: Project, mark: str, iid: int) -> dict[str, str]:
    return {"short": f"{mark}{iid}", "relative": f"{mark}{iid}", "full": f"{project.path_with_namespace}{mark}{iid}"}


def issue_wire(instance: Instance, session: Session, issue: Issue) -> Wire:
    project = session.get_one(Project, issue.project_id)
    api = f"{instance.url}/api/v4/projects/{project.id}"
    assignees = [user_basic(instance, user) for user in users_by_id(session, issue.assignee_ids)]
    tasks = task_completion(issue.description)
    return {
        "id": issue.id,
        "iid": issue.iid,
        "project_id": issue.project_id,
        "title": issue.title,
        "description": issue.description,
        "state": issue.state,
        "created_at": issue.created_at,
        "updated_at": issue.updated_at,
        "closed_at": issue.closed_at,
        "closed_by": user_or_none(instance, session, issue.closed_by_id),
        "labels": sorted(issue.labels),
        "milestone": None,
        "assignees": assignees,
        "author": user_basic(instance, issue.author),
        "type": "ISSUE",
        "assignee": assignees[0] if assignees else None,
        "user_notes_count": count_notes(session, "Issue", issue.id),
        "merge_requests_count": 0,
        **count_votes(session, "Issue", issue.id),
        "due_date": None,
        "confidential": issue.confidential,
        "discussion_locked": None,
        "issue_type": "issue",
        "web_url": issue_url(instance, project, issue),
        "time_stats": TIME_STATS,
        "task_completion_status": tasks,
        "has_tasks": tasks["count"] > 0,
        "task_status": f"{tasks['completed_count']} of {tasks['count']} checklist items completed",
        "blocking_issues_count": 0,
        "_links": {
            "self": f"{api}/issues/{issue.iid}",
            "notes": f"{api}/issues/{issue.iid}/notes",
            "award_emoji": f"{api}/issues/{issue.iid}/award_emoji",
            "project": api,
            "closed_as_duplicate_of": None,
        },
        "references": references(project, "#", issue.iid),
        "severity": "UNKNOWN",
        "subscribed": False,
        "moved_to_id": None,
        "imported": False,
        "imported_from": "none",
        "service_desk_reply_to": None,
    }


def hook_labels(session: Session, subject: Issue | MergeRequest) -> list[Wire]:
    rows = session.scalars(select(Label).where(Label.project_id == subject.project_id, Label.name.in_(subject.labels)))
    return [hook_label(label) for label in rows]


def hook_issue(instance: Instance, session: Session, issue: Issue) -> Wire:
    """An issue as webhook payloads show it."""
    project = session.get_one(Project, issue.project_id)
    return {
        "id": issue.id,
        "iid": issue.iid,
        "title": issue.title,
        "description": issue.description,
        "state": issue.state,
        "state_id": 1 if issue.state == "opened" else 2,
        "author_id": issue.author_id,
        "assignee_ids": issue.assignee_ids,
        "assignee_id": issue.assignee_ids[0] if issue.assignee_ids else None,
        "project_id": issue.project_id,
        "created_at": hook_time(issue.created_at),
        "updated_at": hook_time(issue.updated_at),
        "updated_by_id": None,
        "last_edited_at": None,
        "last_edited_by_id": None,
        "relative_position": None,
        "milestone_id": None,
        "confidential": issue.confidential,
        "discussion_locked": None,
        "due_date": None,
        "moved_to_id": None,
        "duplicated_to_id": None,
        "time_estimate": 0,
        "total_time_spent": 0,
        "time_change": 0,
        "human_total_time_spent": None,
        "human_time_estimate": None,
        "human_time_change": None,
        "weight": None,
        "severity": "unknown",
        "type": "Issue",
        "url": issue_url(instance, project, issue),
        "labels": hook_labels(session, issue),
    }
