"""Writing notes: people's, and the forge's own about what changed."""

import secrets
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mergewright.localforge import access
from mergewright.localforge.announce import announce_issue, announce_note
from mergewright.localforge.clock import now
from mergewright.localforge.instance import Instance
from mergewright.localforge.references import issues_mentioned
from mergewright.localforge.suggestions import store_suggestions
from mergewright.localforge.tables import Issue, MergeRequest, Note, Project, User

Subject = Issue | MergeRequest


def kind(subject: Subject) -> str:
    return "Issue" if isinstance(subject, Issue) else "MergeRequest"


def add_note(
    instance: Instance,
    session: Session,
    subject: Subject,
    user: User,
    body: str,
    *,
    type: str | None = None,
    discussion_id: str = "",
    position: dict[str, Any] | None = None,
    internal: bool = False,
    created_at: str = "",
) -> Note:
    """Store a person's note, link what it mentions and tell the webhooks."""
    note = Note(
        project_id=subject.project_id,
        noteable_type=kind(subject),
        noteable_id=subject.id,
        discussion_id=discussion_id or secrets.token_hex(20),
        type=type,
        author_id=user.id,
        body=body,
        position=position,
        internal=internal,
        created_at=created_at or now(),
    )
    session.add(note)
    subject.updated_at = now()
    session.flush()
    store_suggestions(instance, session, note)
    cross_reference(session, subject, user, body)
    announce_note(instance, session, note, subject, "create")
    return note


def add_system_note(session: Session, subject: Subject, user: User, body: str) -> None:
    session.add(
        Note(
            project_id=subject.project_id,
            noteable_type=kind(subject),
            noteable_id=subject.id,
            discussion_id=secrets.token_hex(20),
            author_id=user.id,
            body=body,
            system=True,
        )
    )


def cross_reference(session: Session, subject: Subject, user: User, text: str | None) -> None:
    """Note on each issue that a text mentions where it was mentioned, once."""
    project = session.get_one(Project, subject.project_id)
    word = "issue #" if isinstance(subject, Issue) else "merge request !"
    body = f"mentioned in {word}{subject.iid}"
    for iid in issues_mentioned(text or "", project):
        issue = session.scalar(select(Issue).where(Issue.project_id == project.id, Issue.iid == iid))
        if issue is None or issue is subject:
            continue
        known = select(func.count()).where(
            Note.noteable_type == "Issue", Note.noteable_id == issue.id, Note.system.is_(True), Note.body == body
        )
        if not session.scalar(known):
            add_system_note(session, issue, user, body)


def notes_of(session: Session, subject: Subject) -> list[Note]:
    """Every note on a subject, oldest first."""
    rows = select(Note).where(Note.noteable_type == kind(subject), Note.noteable_id == subject.id).order_by(Note.id)
    return list(session.scalars(rows))


def may_resolve(session: Session, subject: Subject, user: User) -> bool:
    """Developers and the author resolve threads."""
    project = session.get_one(Project, subject.project_id)
    return subject.author_id == user.id or access.access_level(session, project, user) >= access.DEVELOPER


def discussions_of(session: Session, subject: Subject) -> list[list[Note]]:
    """The notes on a subject, by thread, in the order the threads began."""
    threads: dict[str, list[Note]] = {}
    for note in notes_of(session, subject):
        threads.setdefault(note.discussion_id, []).append(note)
    return list(threads.values())


def close_issue(instance: Instance, session: Session, issue: Issue, user: User) -> None:
    """Close an open issue and say so; a closed one stays as it is."""
    if issue.state == "closed":
        return
    issue.state, issue.closed_at, issue.closed_by_id, issue.updated_at = "closed", now(), user.id, now()
    changes = {"state_id": {"previous": 1, "current": 2}, "closed_at": {"previous": None, "current": issue.closed_at}}
    announce_issue(instance, session, issue, user, "close", changes)


def reopen_issue(instance: Instance, session: Session, issue: Issue, user: User) -> None:
    """Open a closed issue again and say so; an open one stays as it is."""
    if issue.state == "closed":
        issue.state, issue.closed_at, issue.closed_by_id, issue.updated_at = "opened", None, None, now()
        announce_issue(instance, session, issue, user, "reopen", {"state_id": {"previous": 2, "current": 1}})
