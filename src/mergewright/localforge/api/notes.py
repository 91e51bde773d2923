"""Notes on issues and merge requests."""

from collections.abc import Callable

from sqlalchemy import select

from mergewright.localforge import access
from mergewright.localforge.announce import announce_note
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.clock import now
from mergewright.localforge.errors import Refused, forbidden, not_found
from mergewright.localforge.notes import Subject, add_note, kind, may_resolve
from mergewright.localforge.quick_actions import run_commands
from mergewright.localforge.router import Route
from mergewright.localforge.suggestions import store_suggestions
from mergewright.localforge.tables import Note
from mergewright.localforge.wire.notes import note_wire, resolvable

BODY_LIMIT = 1_000_000


def subject_of(call: Call) -> Subject:
    """The issue or merge request of the path."""
    return call.issue() if "/issues/" in call.path else call.merge_request()


def visible(call: Call, note: Note) -> bool:
    """Internal notes are for Reporters and above."""
    return not note.internal or call.level >= access.REPORTER


def body_of(call: Call) -> str:
    body = call.params.required("body")
    if not body.strip():
        raise Refused(400, {"message": '400 Bad request - Note {:note=>["can\'t be blank"]}'})
    if len(body) > BODY_LIMIT:
        raise Refused(
            400, {"message": f'400 Bad request - Note {{:note=>["is too long (maximum is {BODY_LIMIT} characters)"]}}'}
        )
    return body


def index(call: Call) -> Answer:
    subject = subject_of(call)
    query = select(Note).where(Note.noteable_type == kind(subject), Note.noteable_id == subject.id)
    if call.level < access.REPORTER:
        query = query.where(Note.internal.is_(False))
    only = call.params.text("activity_filter")
    if only in {"only_comments", "only_activity"}:
        query = query.where(Note.system.is_(only == "only_activity"))
    column = Note.updated_at if call.params.text("order_by") == "updated_at" else Note.created_at
    ascending = call.params.text("sort") == "asc"
    query = query.order_by(column.asc() if ascending else column.desc(), Note.id.asc() if ascending else Note.id.desc())
    return call.rows(query, lambda note: note_wire(call.instance, call.session, note, subject))


def find(call: Call, subject: Subject) -> Note:
    note = call.session.get(Note, call.number("note_id", "Note"))
    if note is None or note.noteable_type != kind(subject) or note.noteable_id != subject.id or not visible(call, note):
        raise not_found("Note")
    return note


def show(call: Call) -> Wire:
    subject = subject_of(call)
    return note_wire(call.instance, call.session, find(call, subject), subject)


def need_note(call: Call) -> None:
    """Members and, in open projects, any user may comment."""
    if call.me and not access.can_see(call.project, call.user, call.level):
        raise forbidden()


def create(call: Call) -> Wire | Answer:
    subject = subject_of(call)
    need_note(call)
    internal = bool(call.params.flag("internal", call.params.flag("confidential", False)))
    if internal and call.level < access.REPORTER:
        raise forbidden()
    done = run_commands(call.instance, call.session, subject, call.me, body_of(call))
    if done.known and not done.text:
        return Answer({"commands_changes": done.changes, "summary": done.summary}, status=202)
    note = add_note(call.instance, call.session, subject, call.me, done.text, internal=internal)
    return note_wire(call.instance, call.session, note, subject) | {"commands_changes": done.changes}


def change(call: Call, note: Note, subject: Subject) -> None:
    """Rewrite a note's body: its author or a Maintainer may, nobody may a system note."""
    if note.system or (note.author_id != call.me.id and call.level < access.MAINTAINER):
        raise forbidden()
    body = body_of(call)
    if body != note.body:
        note.body, note.updated_at = body, now()
        store_suggestions(call.instance, call.session, note)
        announce_note(call.instance, call.session, note, subject, "update")


def set_resolved(call: Call, notes: list[Note], subject: Subject, resolved: bool | None) -> None:
    """Resolve or reopen a thread: Developers and the merge request's author may."""
    if resolved is None:
        raise Refused(400, {"error": "resolved is missing"})
    if not any(resolvable(note) for note in notes):
        raise forbidden()
    if not may_resolve(call.session, subject, call.me):
        raise forbidden()
    for note in notes:
        if resolvable(note) and (note.resolved_at is not None) != resolved:
            note.resolved_at = now() if resolved else None
            note.resolved_by_id = call.me.id if resolved else None


def update(call: Call) -> Wire:
    subject = subject_of(call)
    note = find(call, subject)
    if ("body" in call.params) == ("resolved" in call.params):
        raise Refused(
            400, {"error": "body, resolved are mutually exclusive" if "body" in call.params else "body is missing"}
        )
    if "resolved" in call.params:
        set_resolved(call, [note], subject, call.params.flag("resolved"))
    else:
        change(call, note, subject)
    return note_wire(call.instance, call.session, note, subject)


def delete(call: Call) -> Answer:
    note = find(call, subject_of(call))
    if note.system or (note.author_id != call.me.id and call.level < access.MAINTAINER):
        raise forbidden()
    call.session.delete(note)
    return Answer(status=204)


def both(method: str, path: str, endpoint: Callable[[Call], Wire | Answer]) -> list[Route]:
    """The same endpoint for issues and for merge requests."""
    return [Route(method, f"/projects/:id/{noun}/:iid{path}", endpoint) for noun in ("issues", "merge_requests")]


ROUTES = [
    *both("GET", "/notes", index),
    *both("POST", "/notes", create),
    *both("GET", "/notes/:note_id", show),
    *both("PUT", "/notes/:note_id", update),
    *both("DELETE", "/notes/:note_id", delete),
]
