"""External status checks of a project, and what they answer."""

from mergewright.localforge import access
from mergewright.localforge.announce import ask
from mergewright.localforge.api.hooks import checked_url
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import Refused, not_found
from mergewright.localforge.router import Route
from mergewright.localforge.status_checks import checks_of, status_of
from mergewright.localforge.tables import StatusCheck, StatusCheckResponse
from mergewright.localforge.wire.payloads import merge_request_payload


def _need(call: Call, level: int) -> None:
    call.need(level)
    if call.instance.settings.tier != "ultimate":
        raise not_found()


def check_wire(check: StatusCheck) -> Wire:
    return {
        "id": check.id,
        "name": check.name,
        "project_id": check.project_id,
        "external_url": check.external_url,
        "hmac": bool(check.shared_secret),
        "protected_branches": [],
    }


def _check(call: Call, number: int) -> StatusCheck:
    check = call.session.get(StatusCheck, number)
    if check is None or check.project_id != call.project.id:
        raise not_found()
    return check


def index(call: Call) -> Answer:
    _need(call, access.REPORTER)
    return call.items(checks_of(call.session, call.project.id), check_wire)


def create(call: Call) -> Wire:
    _need(call, access.MAINTAINER)
    params = call.params
    name, url = params.required("name"), checked_url(params.required("external_url"))
    if any(check.name == name for check in checks_of(call.session, call.project.id)):
        raise Refused(400, {"message": {"name": ["has already been taken"]}})
    check = StatusCheck(
        project_id=call.project.id, name=name, external_url=url, shared_secret=params.text("shared_secret") or None
    )
    call.session.add(check)
    call.session.flush()
    return check_wire(check)


def update(call: Call) -> Wire:
    _need(call, access.MAINTAINER)
    check, params = _check(call, call.number("check_id", "")), call.params
    check.name = params.text("name") or check.name
    check.external_url = checked_url(params.text("external_url") or check.external_url)
    check.shared_secret = params.text("shared_secret") or check.shared_secret
    return check_wire(check)


def delete(call: Call) -> Answer:
    _need(call, access.MAINTAINER)
    call.session.delete(_check(call, call.number("check_id", "")))
    return Answer(status=204)


def statuses(call: Call) -> Answer:
    _need(call, access.REPORTER)
    merge_request = call.merge_request()

    def wire(check: StatusCheck) -> Wire:
        return check_wire(check) | {"status": status_of(call.session, check, merge_request)}

    return call.items(checks_of(call.session, call.project.id), wire)


def respond(call: Call) -> Wire:
    _need(call, access.DEVELOPER)
    merge_request, params = call.merge_request(), call.params
    sha = params.required("sha")
    if sha != merge_request.sha:
        raise Refused(409, {"message": "409 Conflict"})
    check = _check(call, params.integer("external_status_check_id") or 0)
    status = params.choice("status", ("pending", "passed", "failed"), "passed")
    response = StatusCheckResponse(status_check_id=check.id, merge_request_id=merge_request.id, sha=sha, status=status)
    call.session.add(response)
    call.session.flush()
    return {"id": response.id, "merge_request": {"iid": merge_request.iid}, "external_status_check": check_wire(check)}


def retry(call: Call) -> Wire:
    _need(call, access.DEVELOPER)
    merge_request = call.merge_request()
    check = _check(call, call.number("check_id", ""))
    if status_of(call.session, check, merge_request) != "failed":
        raise Refused(422, {"message": "External status check must be failed"})
    call.session.add(
        StatusCheckResponse(
            status_check_id=check.id, merge_request_id=merge_request.id, sha=merge_request.sha, status="pending"
        )
    )
    ask(call.session, check, merge_request_payload(call.instance, call.session, merge_request, call.me, "update", {}))
    return {"message": "202 Accepted"}


BASE = "/projects/:id/external_status_checks"
MERGE_REQUEST = "/projects/:id/merge_requests/:iid"
ROUTES = [
    Route("GET", BASE, index),
    Route("POST", BASE, create),
    Route("PUT", f"{BASE}/:check_id", update),
    Route("DELETE", f"{BASE}/:check_id", delete),
    Route("GET", f"{MERGE_REQUEST}/status_checks", statuses),
    Route("POST", f"{MERGE_REQUEST}/status_check_responses", respond),
    Route("POST", f"{MERGE_REQUEST}/status_checks/:check_id/retry", retry, status=202),
]
