"""Draft notes: seen by their author alone, published together."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.clock import now
from mergewright.localforge.instance import Instance
from mergewright.localforge.notes import add_note, may_resolve, notes_of
from mergewright.localforge.quick_actions import run_commands
from mergewright.localforge.tables import DraftNote, MergeRequest, Note, User


def drafts_of(session: Session, merge_request: MergeRequest, user: User) -> list[DraftNote]:
    """A user's own drafts on a merge request, oldest first."""
    rows = select(DraftNote).where(DraftNote.merge_request_id == merge_request.id, DraftNote.author_id == user.id)
    return list(session.scalars(rows.order_by(DraftNote.id)))


def publish_all(instance: Instance, session: Session, merge_request: MergeRequest, user: User) -> None:
    """Publish every draft of a user, in the order they were written."""
    # Asked for anew each time: an order in one draft may publish the others.
    while waiting := drafts_of(session, merge_request, user):
        publish(instance, session, merge_request, user, waiting[0])


def publish(instance: Instance, session: Session, merge_request: MergeRequest, user: User, draft: DraftNote) -> None:
    """Carry out a draft's orders and make the rest a note, or the answer in the thread that it was written for."""
    thread = _thread(session, merge_request, draft.discussion_id) if draft.discussion_id else []
    session.delete(draft)
    session.flush()
    done = run_commands(instance, session, merge_request, user, draft.note)
    if thread:
        _answer(instance, session, merge_request, user, draft, done.text, thread)
    elif done.text:
        kind = "DiffNote" if draft.position else None
        add_note(instance, session, merge_request, user, done.text, type=kind, position=draft.position)


def _answer(
    instance: Instance,
    session: Session,
    merge_request: MergeRequest,
    user: User,
    draft: DraftNote,
    text: str,
    thread: list[Note],
) -> None:
    first = thread[0]
    if text:
        first.type = first.type or "DiscussionNote"
        note = add_note(
            instance,
            session,
            merge_request,
            user,
            text,
            type=first.type,
            discussion_id=first.discussion_id,
            position=first.position,
            internal=first.internal,
        )
        thread = [*thread, note]
    # As on GitLab, an answer that does not resolve its thread opens it again.
    resolves = draft.resolve_discussion and may_resolve(session, merge_request, user)
    for one in thread:
        one.resolved_at = (one.resolved_at or now()) if resolves else None
        one.resolved_by_id = (one.resolved_by_id or user.id) if resolves else None


def _thread(session: Session, merge_request: MergeRequest, discussion_id: str) -> list[Note]:
    return [note for note in notes_of(session, merge_request) if note.discussion_id == discussion_id]
