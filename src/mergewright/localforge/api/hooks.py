"""Webhooks of a project."""

import uuid
from typing import TypeVar
from urllib.parse import urlsplit

from sqlalchemy import select

from mergewright.localforge import access, announce
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import Refused, not_found
from mergewright.localforge.notes import Subject
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Hook, Issue, Job, MergeRequest, Note, Pipeline
from mergewright.localforge.wire import payloads
from mergewright.localforge.wire.projects import HOOK_EVENTS, hook_wire

Row = TypeVar("Row", Issue, MergeRequest, Note, Pipeline, Job)


def index(call: Call) -> Answer:
    call.need(access.MAINTAINER)
    return call.rows(select(Hook).where(Hook.project_id == call.project.id).order_by(Hook.id), hook_wire)


def _hook(call: Call) -> Hook:
    call.need(access.MAINTAINER)
    hook = call.session.get(Hook, call.number("hook_id", "Project Hook"))
    if hook is None or hook.project_id != call.project.id:
        raise not_found("Project Hook")
    return hook


def show(call: Call) -> Wire:
    return hook_wire(_hook(call))


def checked_url(url: str) -> str:
    """Only web addresses: a webhook is no way to read files or speak other protocols."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise Refused(422, {"error": "Invalid url given"})
    return url


def _assign(call: Call, hook: Hook) -> None:
    params = call.params
    hook.token = params.text("token", hook.token)
    if "\n" in hook.token or "\r" in hook.token or not hook.token.isascii():
        raise Refused(422, {"error": "Invalid token given"})
    hook.name = params.text("name", hook.name or "") or None
    hook.description = params.text("description", hook.description or "") or None
    hook.enable_ssl_verification = params.flag("enable_ssl_verification", hook.enable_ssl_verification) is not False
    wanted = {event: params.flag(event, event in hook.events) for event in HOOK_EVENTS}
    hook.events = [event for event, on in wanted.items() if on]


def create(call: Call) -> Wire:
    call.need(access.MAINTAINER)
    hook = Hook(
        project_id=call.project.id,
        url=checked_url(call.params.required("url")),
        uuid=str(uuid.uuid4()),
        token="",
        events=["push_events"],
        enable_ssl_verification=True,
    )
    _assign(call, hook)
    call.session.add(hook)
    call.session.flush()
    return hook_wire(hook)


def update(call: Call) -> Wire:
    hook = _hook(call)
    if "url" in call.params:
        hook.url = checked_url(call.params.required("url"))
    _assign(call, hook)
    return hook_wire(hook)


def delete(call: Call) -> Answer:
    call.session.delete(_hook(call))
    return Answer(status=204)


def test(call: Call) -> Wire:
    """Send an event made of the project's newest data."""
    hook, trigger = _hook(call), call.names["trigger"]
    payload = _sample(call, trigger)
    if payload is None:
        raise Refused(422, {"message": f"Ensure the project has data for `{trigger}`"})
    announce.deliver(call.session, hook, trigger, payload, event_uuid=str(uuid.uuid4()))
    return {"message": "201 Created"}


def _sample(call: Call, trigger: str) -> Wire | None:
    instance, session, project = call.instance, call.session, call.project
    if trigger == "push_events":
        head = call.repository.branch(project.default_branch)
        if head is None:
            return None
        parents = call.repository.commit(head).parents
        ref = f"refs/heads/{project.default_branch}"
        before = parents[0] if parents else payloads.NO_SHA
        return payloads.push_payload(instance, project, call.me, ref=ref, before=before, after=head)
    if trigger == "issues_events":
        issue = _newest(call, Issue)
        return payloads.issue_payload(instance, session, issue, call.me, "open", {}) if issue else None
    if trigger == "merge_requests_events":
        row = _newest(call, MergeRequest)
        return payloads.merge_request_payload(instance, session, row, call.me, "open", {}) if row else None
    if trigger == "note_events":
        note = _newest(call, Note)
        if note is None:
            return None
        if note.noteable_type == "Issue":
            subject: Subject = session.get_one(Issue, note.noteable_id)
        else:
            subject = session.get_one(MergeRequest, note.noteable_id)
        return payloads.note_payload(instance, session, note, subject, "create")
    if trigger == "pipeline_events":
        pipeline = _newest(call, Pipeline)
        return payloads.pipeline_payload(instance, session, pipeline) if pipeline else None
    if trigger == "job_events":
        job = _newest(call, Job)
        return payloads.job_payload(instance, project, job) if job else None
    raise Refused(400, {"error": "trigger does not have a valid value"})


def _newest(call: Call, table: type[Row]) -> Row | None:
    query = select(table).where(table.project_id == call.project.id).order_by(table.id.desc()).limit(1)
    return call.session.scalar(query)


ROUTES = [
    Route("GET", "/projects/:id/hooks", index),
    Route("POST", "/projects/:id/hooks", create),
    Route("GET", "/projects/:id/hooks/:hook_id", show),
    Route("PUT", "/projects/:id/hooks/:hook_id", update),
    Route("DELETE", "/projects/:id/hooks/:hook_id", delete),
    Route("POST", "/projects/:id/hooks/:hook_id/test/:trigger", test),
]
