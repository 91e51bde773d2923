"""Notes, discussions and award emoji on the wire."""

from typing import Any

from sqlalchemy.orm import Session

from mergewright.localforge.call import Wire
from mergewright.localforge.instance import Instance
from mergewright.localforge.suggestions import obstacle, span, suggestions_of
from mergewright.localforge.tables import AwardEmoji, Issue, MergeRequest, Note, NoteTrace, Project, Suggestion
from mergewright.localforge.wire.users import user_basic, user_or_none


def resolvable(note: Note) -> bool:
    return note.noteable_type == "MergeRequest" and note.type is not None and not note.system


def original_position(session: Session, note: Note) -> dict[str, Any] | None:
    """Where a note was written, before pushes moved it."""
    trace = session.get(NoteTrace, note.id)
    return trace.original_position if trace else note.position


def suggestion_wire(instance: Instance, session: Session, note: Note, suggestion: Suggestion) -> Wire:
    merge_request = session.get_one(MergeRequest, note.noteable_id)
    repository = instance.repository(session.get_one(Project, note.project_id))
    at = span(note, suggestion)
    return {
        "id": suggestion.id,
        "from_line": at.first,
        "to_line": at.last,
        "appliable": obstacle(repository, merge_request, note, suggestion) is None,
        "applied": suggestion.commit_id is not None,
        "from_content": suggestion.from_content,
        "to_content": suggestion.to_content,
    }


def note_wire(instance: Instance, session: Session, note: Note, noteable: Issue | MergeRequest) -> Wire:
    wire: Wire = {
        "id": note.id,
        "type": note.type,
        "body": note.body,
        "author": user_basic(instance, note.author),
        "created_at": note.created_at,
        "updated_at": note.updated_at,
        "system": note.system,
        "noteable_id": note.noteable_id,
        "noteable_type": note.noteable_type,
        "project_id": note.project_id,
        "commit_id": note.position["head_sha"] if note.position else None,
        "resolvable": resolvable(note),
        "confidential": note.internal,
        "internal": note.internal,
        "imported": False,
        "imported_from": "none",
        "noteable_iid": noteable.iid,
        "commands_changes": {},
        "attachment": None,
    }
    if note.position:
        # Absent, not null, on other notes: strict clients refuse a null position.
        wire["position"] = note.position
        found = suggestions_of(session, note)
        wire["suggestions"] = [suggestion_wire(instance, session, note, one) for one in found]
    if resolvable(note):
        wire["resolved"] = note.resolved_at is not None
        wire["resolved_by"] = user_or_none(instance, session, note.resolved_by_id)
        wire["resolved_at"] = note.resolved_at
    return wire


def discussion_wire(instance: Instance, session: Session, notes: list[Note], noteable: Issue | MergeRequest) -> Wire:
    return {
        "id": notes[0].discussion_id,
        "individual_note": notes[0].type is None,
        "notes": [note_wire(instance, session, note, noteable) for note in notes],
    }


def award_wire(instance: Instance, award: AwardEmoji) -> Wire:
    return {
        "id": award.id,
        "name": award.name,
        "user": user_basic(instance, award.user),
        "created_at": award.created_at,
        "updated_at": award.created_at,
        "awardable_id": award.awardable_id,
        "awardable_type": award.awardable_type,
        "url": None,
    }
