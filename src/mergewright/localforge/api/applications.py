"""Applications that people may let act for them; administrators register them."""

from sqlalchemy import select

from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import Refused, forbidden, not_found
from mergewright.localforge.login_tables import Application
from mergewright.localforge.oauth import new_application
from mergewright.localforge.router import Route


def _entity(application: Application) -> Wire:
    return {
        "id": application.id,
        "application_id": application.uid,
        "application_name": application.name,
        "callback_url": "\n".join(application.redirect_uris),
        "confidential": application.confidential,
        "scopes": application.scopes,
    }


def index(call: Call) -> Answer:
    _need_admin(call)
    return call.rows(select(Application).order_by(Application.id), _entity)


def create(call: Call) -> Wire:
    _need_admin(call)
    scopes = call.params.required("scopes").replace(",", " ").split()
    confidential = call.params.flag("confidential", True)
    addresses = call.params.required("redirect_uri").split()
    row, secret = new_application(
        call.session,
        call.params.required("name"),
        addresses,
        scopes=scopes,
        confidential=confidential is not False,
        trusted=False,
    )
    return _entity(row) | {"secret": secret}


def remove(call: Call) -> Answer:
    _need_admin(call)
    row = call.session.get(Application, call.number("application_id", "Application"))
    if row is None:
        raise not_found("Application")
    call.session.delete(row)
    return Answer(status=204)


def _need_admin(call: Call) -> None:
    if not call.me.admin:
        raise forbidden()
    if call.token and "api" not in call.token.scopes:
        raise Refused(403, {"error": "insufficient_scope"})


ROUTES = [
    Route("GET", "/applications", index),
    Route("POST", "/applications", create),
    Route("DELETE", "/applications/:application_id", remove),
]
