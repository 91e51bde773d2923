"""Telling webhooks what happened: each event is stored with the change that caused it, and sent afterwards."""

import secrets
import uuid

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.call import Wire
from mergewright.localforge.instance import Instance
from mergewright.localforge.tables import Delivery, Hook, Issue, Job, MergeRequest, Note, Pipeline, Project, User
from mergewright.localforge.wire.payloads import (
    issue_payload,
    job_payload,
    merge_request_payload,
    note_payload,
    pipeline_payload,
    push_payload,
)

EVENT_NAMES = {
    "push_events": "Push Hook",
    "tag_push_events": "Tag Push Hook",
    "issues_events": "Issue Hook",
    "confidential_issues_events": "Confidential Issue Hook",
    "note_events": "Note Hook",
    "confidential_note_events": "Confidential Note Hook",
    "merge_requests_events": "Merge Request Hook",
    "pipeline_events": "Pipeline Hook",
    "job_events": "Job Hook",
}


def queue(session: Session, project: Project, event: str, payload: Wire, *, only: Hook | None = None) -> None:
    """Store one delivery for each webhook of the project that wants this event."""
    event_uuid = str(uuid.uuid4())
    hooks = [only] if only else session.scalars(select(Hook).where(Hook.project_id == project.id).order_by(Hook.id))
    for hook in hooks:
        if only or event in hook.events:
            session.add(
                Delivery(
                    hook_id=hook.id,
                    event=EVENT_NAMES[event],
                    event_uuid=event_uuid,
                    idempotency_key=secrets.token_hex(16),
                    payload=payload,
                )
            )


def announce_push(
    instance: Instance, session: Session, project: Project, user: User, *, ref: str, before: str, after: str
) -> None:
    session.flush()
    tag = ref.startswith("refs/tags/")
    payload = push_payload(instance, project, user, ref=ref, before=before, after=after)
    queue(session, project, "tag_push_events" if tag else "push_events", payload)


def announce_issue(
    instance: Instance, session: Session, issue: Issue, user: User, action: str, changes: Wire | None = None
) -> None:
    session.flush()
    project = session.get_one(Project, issue.project_id)
    event = "confidential_issues_events" if issue.confidential else "issues_events"
    queue(session, project, event, issue_payload(instance, session, issue, user, action, changes or {}))


def announce_merge_request(
    instance: Instance,
    session: Session,
    merge_request: MergeRequest,
    user: User,
    action: str,
    changes: Wire | None = None,
    *,
    oldrev: str = "",
) -> None:
    session.flush()
    project = session.get_one(Project, merge_request.project_id)
    payload = merge_request_payload(instance, session, merge_request, user, action, changes or {}, oldrev=oldrev)
    queue(session, project, "merge_requests_events", payload)


def announce_note(instance: Instance, session: Session, note: Note, subject: Issue | MergeRequest, action: str) -> None:
    session.flush()
    hidden = note.internal or (isinstance(subject, Issue) and subject.confidential)
    project = session.get_one(Project, note.project_id)
    payload = note_payload(instance, session, note, subject, action)
    if hidden:
        payload["event_type"] = "confidential_note"
    queue(session, project, "confidential_note_events" if hidden else "note_events", payload)


def announce_pipeline(instance: Instance, session: Session, pipeline: Pipeline) -> None:
    session.flush()
    project = session.get_one(Project, pipeline.project_id)
    queue(session, project, "pipeline_events", pipeline_payload(instance, session, pipeline))


def announce_job(instance: Instance, session: Session, job: Job) -> None:
    session.flush()
    project = session.get_one(Project, job.project_id)
    queue(session, project, "job_events", job_payload(instance, project, job))
