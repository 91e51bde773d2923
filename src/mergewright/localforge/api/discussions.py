"""Discussions: threads of notes, some of them at a line of a diff."""

from typing import Any

from mergewright.localforge.api.notes import (
    body_of,
    both,
    change,
    delete,
    find,
    need_note,
    set_resolved,
    subject_of,
    visible,
)
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import Refused, not_found
from mergewright.localforge.notes import Subject, add_note, discussions_of
from mergewright.localforge.positions import read_position, sent_position
from mergewright.localforge.quick_actions import run_commands
from mergewright.localforge.tables import MergeRequest, Note
from mergewright.localforge.wire.notes import discussion_wire, note_wire


def _threads(call: Call, subject: Subject) -> list[list[Note]]:
    threads = ([note for note in thread if visible(call, note)] for thread in discussions_of(call.session, subject))
    return [thread for thread in threads if thread]


def index(call: Call) -> Answer:
    subject = subject_of(call)
    return call.items(
        _threads(call, subject), lambda thread: discussion_wire(call.instance, call.session, thread, subject)
    )


def _thread(call: Call, subject: Subject) -> list[Note]:
    wanted = call.names["discussion_id"]
    thread = next((notes for notes in _threads(call, subject) if notes[0].discussion_id == wanted), None)
    if thread is None:
        raise not_found("Discussion")
    return thread


def show(call: Call) -> Wire:
    subject = subject_of(call)
    return discussion_wire(call.instance, call.session, _thread(call, subject), subject)


def _position(call: Call, subject: Subject) -> dict[str, Any] | None:
    sent = sent_position(call.params.values.get("position"))
    if sent is None:
        return None
    if not isinstance(subject, MergeRequest):
        raise Refused(400, {"error": "position is invalid"})
    return read_position(call.session, call.repository, subject, sent)


def create(call: Call) -> Wire | Answer:
    subject = subject_of(call)
    need_note(call)
    position = _position(call, subject)
    done = run_commands(call.instance, call.session, subject, call.me, body_of(call))
    if done.known and not done.text:
        return Answer({"commands_changes": done.changes, "summary": done.summary}, status=202)
    kind = "DiffNote" if position else "DiscussionNote"
    note = add_note(call.instance, call.session, subject, call.me, done.text, type=kind, position=position)
    return discussion_wire(call.instance, call.session, [note], subject)


def reply(call: Call) -> Wire | Answer:
    subject = subject_of(call)
    need_note(call)
    thread = _thread(call, subject)
    if thread[0].system:
        raise Refused(400, {"message": "400 Bad request - Discussion can not be replied to"})
    first = thread[0]
    if first.type is None:
        # An answer turns a plain note into a thread.
        first.type = "DiscussionNote"
    done = run_commands(call.instance, call.session, subject, call.me, body_of(call))
    if done.known and not done.text:
        return Answer({"commands_changes": done.changes, "summary": done.summary}, status=202)
    note = add_note(
        call.instance,
        call.session,
        subject,
        call.me,
        done.text,
        type=first.type,
        discussion_id=first.discussion_id,
        position=first.position,
        internal=first.internal,
    )
    if first.resolved_at is not None:
        note.resolved_at, note.resolved_by_id = first.resolved_at, first.resolved_by_id
    return note_wire(call.instance, call.session, note, subject)


def resolve(call: Call) -> Wire:
    subject = subject_of(call)
    thread = _thread(call, subject)
    set_resolved(call, thread, subject, call.params.flag("resolved"))
    return discussion_wire(call.instance, call.session, thread, subject)


def show_note(call: Call) -> Wire:
    subject = subject_of(call)
    return note_wire(call.instance, call.session, find(call, subject), subject)


def update_note(call: Call) -> Wire:
    subject = subject_of(call)
    note = find(call, subject)
    if "resolved" in call.params:
        set_resolved(call, _thread(call, subject), subject, call.params.flag("resolved"))
    else:
        change(call, note, subject)
    return note_wire(call.instance, call.session, note, subject)


ROUTES = [
    *both("GET", "/discussions", index),
    *both("POST", "/discussions", create),
    *both("GET", "/discussions/:discussion_id", show),
    *both("PUT", "/discussions/:discussion_id", resolve),
    *both("POST", "/discussions/:discussion_id/notes", reply),
    *both("GET", "/discussions/:discussion_id/notes/:note_id", show_note),
    *both("PUT", "/discussions/:discussion_id/notes/:note_id", update_note),
    *both("DELETE", "/discussions/:discussion_id/notes/:note_id", delete),
]
