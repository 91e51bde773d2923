"""Telling webhooks what happened: each event is stored with the change that caused it, and sent afterwards."""

import secrets
import uuid
from collections.abc import Callable

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.call import Wire
from mergewright.localforge.instance import Instance
from mergewright.localforge.tables import (
    Delivery,
    Hook,
    Issue,
    Job,
    MergeRequest,
    Note,
    Pipeline,
    Project,
    StatusCheck,
    StatusCheckDelivery,
    User,
)
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


def queue(session: Session, project: Project, event: str, payload: Callable[[], Wire]) -> None:
    """Store one delivery for each webhook of the project that wants this event.

    The payload is made only when there is one: making it can mean asking git many things.
    """
    session.flush()
    rows = session.scalars(select(Hook).where(Hook.project_id == project.id).order_by(Hook.id))
    if hooks := [hook for hook in rows if event in hook.events]:
        made, event_uuid = payload(), str(uuid.uuid4())
        for hook in hooks:
            deliver(session, hook, event, made, event_uuid=event_uuid)


def deliver(session: Session, hook: Hook, event: str, payload: Wire, *, event_uuid: str) -> None:
    """Put a delivery in the queue of one webhook."""
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
    tag = ref.startswith("refs/tags/")
    event = "tag_push_events" if tag else "push_events"
    queue(session, project, event, lambda: push_payload(instance, project, user, ref=ref, before=before, after=after))


def announce_issue(
    instance: Instance, session: Session, issue: Issue, user: User, action: str, changes: Wire | None = None
) -> None:
    project = session.get_one(Project, issue.project_id)
    event = "confidential_issues_events" if issue.confidential else "issues_events"
    queue(session, project, event, lambda: issue_payload(instance, session, issue, user, action, changes or {}))


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
    project = session.get_one(Project, merge_request.project_id)

    def payload() -> Wire:
        return merge_request_payload(instance, session, merge_request, user, action, changes or {}, oldrev=oldrev)

    queue(session, project, "merge_requests_events", payload)
    _ask_all(instance, session, project, payload)


def _ask_all(instance: Instance, session: Session, project: Project, payload: Callable[[], Wire]) -> None:
    """Ask the project's external status checks, on the tier that has them."""
    rows = select(StatusCheck).where(StatusCheck.project_id == project.id).order_by(StatusCheck.id)
    if instance.settings.tier == "ultimate" and (checks := list(session.scalars(rows))):
        made = payload()
        for check in checks:
            ask(session, check, made)


def ask(session: Session, check: StatusCheck, payload: Wire) -> None:
    """Put a question in the queue of one external status check."""
    about = {"id": check.id, "name": check.name, "external_url": check.external_url}
    session.add(
        StatusCheckDelivery(
            status_check_id=check.id,
            idempotency_key=secrets.token_hex(16),
            payload=payload | {"external_approval_rule": about},
        )
    )


def announce_note(instance: Instance, session: Session, note: Note, subject: Issue | MergeRequest, action: str) -> None:
    hidden = note.internal or (isinstance(subject, Issue) and subject.confidential)
    project = session.get_one(Project, note.project_id)

    def payload() -> Wire:
        made = note_payload(instance, session, note, subject, action)
        return made | {"event_type": "confidential_note"} if hidden else made

    queue(session, project, "confidential_note_events" if hidden else "note_events", payload)
    if isinstance(subject, MergeRequest):
        author = note.author
        _ask_all(
            instance, session, project, lambda: merge_request_payload(instance, session, subject, author, "update", {})
        )


def announce_pipeline(instance: Instance, session: Session, pipeline: Pipeline) -> None:
    project = session.get_one(Project, pipeline.project_id)
    queue(session, project, "pipeline_events", lambda: pipeline_payload(instance, session, pipeline))


def announce_job(instance: Instance, session: Session, job: Job) -> None:
    project = session.get_one(Project, job.project_id)
    queue(session, project, "job_events", lambda: job_payload(instance, project, job))
