"""Draft notes on merge requests, and the publishing of a whole review."""

from typing import Any

from mergewright.localforge import access, approvals, drafts
from mergewright.localforge.api.notes import BODY_LIMIT
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import bad_request, forbidden, not_found
from mergewright.localforge.notes import add_note, notes_of
from mergewright.localforge.positions import read_position, sent_position
from mergewright.localforge.quick_actions import run_commands
from mergewright.localforge.router import Route
from mergewright.localforge.tables import DraftNote, MergeRequest

REVIEWER_STATES = ("reviewed", "requested_changes")


def draft_wire(draft: DraftNote) -> Wire:
    return {
        "id": draft.id,
        "author_id": draft.author_id,
        "merge_request_id": draft.merge_request_id,
        "resolve_discussion": draft.resolve_discussion,
        "discussion_id": draft.discussion_id,
        "note": draft.note,
        "commit_id": None,
        "position": draft.position,
        "line_code": (draft.position or {}).get("line_code"),
    }


def _subject(call: Call) -> MergeRequest:
    merge_request = call.merge_request()
    if not access.can_see(call.project, call.me, call.level):
        raise forbidden()
    return merge_request


def _draft(call: Call, merge_request: MergeRequest) -> DraftNote:
    number = call.number("draft_id", "Draft Note")
    found = next((one for one in drafts.drafts_of(call.session, merge_request, call.me) if one.id == number), None)
    if found is None:
        raise not_found("Draft Note")
    return found


def index(call: Call) -> Answer:
    merge_request = _subject(call)
    return call.items(drafts.drafts_of(call.session, merge_request, call.me), draft_wire)


def show(call: Call) -> Wire:
    return draft_wire(_draft(call, _subject(call)))


def _note(call: Call) -> str:
    note = call.params.required("note")
    if not note.strip():
        raise bad_request('Note {:note=>["can\'t be blank"]}')
    if len(note) > BODY_LIMIT:
        raise bad_request(f'Note {{:note=>["is too long (maximum is {BODY_LIMIT} characters)"]}}')
    return note


def _position(call: Call, merge_request: MergeRequest) -> dict[str, Any] | None:
    sent = sent_position(call.params.values.get("position"))
    if sent is None:
        return None
    return read_position(call.session, call.repository, merge_request, sent)


def create(call: Call) -> Wire:
    merge_request, params = _subject(call), call.params
    discussion = params.text("in_reply_to_discussion_id") or None
    if discussion and not any(note.discussion_id == discussion for note in notes_of(call.session, merge_request)):
        raise bad_request("Thread not found")
    draft = DraftNote(
        merge_request_id=merge_request.id,
        author_id=call.me.id,
        note=_note(call),
        position=None if discussion else _position(call, merge_request),
        discussion_id=discussion,
        resolve_discussion=params.flag("resolve_discussion") is True,
    )
    call.session.add(draft)
    call.session.flush()
    return draft_wire(draft)


def update(call: Call) -> Wire:
    draft = _draft(call, merge_request := _subject(call))
    if "note" in call.params:
        draft.note = _note(call)
    # As on GitLab, a change without a position takes the old one away.
    draft.position = _position(call, merge_request)
    return draft_wire(draft)


def delete(call: Call) -> Answer:
    call.session.delete(_draft(call, _subject(call)))
    return Answer(status=204)


def publish(call: Call) -> Answer:
    merge_request = _subject(call)
    drafts.publish(call.instance, call.session, merge_request, call.me, _draft(call, merge_request))
    return Answer(status=204)


def bulk_publish(call: Call) -> Answer:
    """Publish every draft of the caller, and with them a summary and how far the reviewer is."""
    merge_request, params = _subject(call), call.params
    state = params.choice("reviewer_state", REVIEWER_STATES)
    drafts.publish_all(call.instance, call.session, merge_request, call.me)
    if text := params.text("note").strip():
        done = run_commands(call.instance, call.session, merge_request, call.me, text)
        if done.text:
            internal = params.flag("internal") is True
            add_note(call.instance, call.session, merge_request, call.me, done.text, internal=internal)
    if state:
        # Whoever is no reviewer says nothing with a state, and is not told so.
        approvals.set_reviewer_state(call.instance, call.session, merge_request, call.me, state)
    return Answer(status=204)


BASE = "/projects/:id/merge_requests/:iid/draft_notes"
ROUTES = [
    Route("GET", BASE, index),
    Route("POST", BASE, create),
    Route("POST", f"{BASE}/bulk_publish", bulk_publish),
    Route("GET", f"{BASE}/:draft_id", show),
    Route("PUT", f"{BASE}/:draft_id", update),
    Route("DELETE", f"{BASE}/:draft_id", delete),
    Route("PUT", f"{BASE}/:draft_id/publish", publish),
]
