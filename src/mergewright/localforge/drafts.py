"""Draft notes: seen by their author alone, published together."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.clock import now
from mergewright.localforge.instance import Instance
from mergewright.localforge.notes import add_note, notes_of
from mergewright.localforge.tables import DraftNote, MergeRequest, Note, User


def drafts_of(session: Session, merge_request: MergeRequest, user: User) -> list[DraftNote]:
    """A user's own drafts on a merge request, oldest first."""
    rows = select(DraftNote).where(DraftNote.merge_request_id == merge_request.id, DraftNote.author_id == user.id)
    return list(session.scalars(rows.order_by(DraftNote.id)))


def publish(instance: Instance, session: Session, merge_request: MergeRequest, user: User, draft: DraftNote) -> Note:
    """Turn a draft into a note, or into the answer in the thread that it was written for."""
    thread = _thread(session, merge_request, draft.discussion_id) if draft.discussion_id else []
    if thread:
        first = thread[0]
        if first.type is None:
            first.type = "DiscussionNote"
        note = add_note(
            instance,
            session,
            merge_request,
            user,
            draft.note,
            type=first.type,
            discussion_id=first.discussion_id,
            position=first.position,
        )
        for one in [*thread, note]:
            one.resolved_at = now() if draft.resolve_discussion else None
            one.resolved_by_id = user.id if draft.resolve_discussion else None
    else:
        kind = "DiffNote" if draft.position else None
        note = add_note(instance, session, merge_request, user, draft.note, type=kind, position=draft.position)
    session.delete(draft)
    session.flush()
    return note


def _thread(session: Session, merge_request: MergeRequest, discussion_id: str) -> list[Note]:
    return [note for note in notes_of(session, merge_request) if note.discussion_id == discussion_id]
