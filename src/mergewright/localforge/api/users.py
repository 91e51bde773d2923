"""Users and their tokens."""

import re

from sqlalchemy import or_, select

from mergewright.localforge import access
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import Refused, forbidden, not_found
from mergewright.localforge.router import Route
from mergewright.localforge.tables import User
from mergewright.localforge.wire.users import token_wire, user_basic, user_public, user_self


def current(call: Call) -> Wire:
    return user_self(call.instance, call.me)


def index(call: Call) -> Answer:
    query = select(User).order_by(User.id)
    if username := call.params.text("username"):
        query = query.where(User.username.ilike(_literal(username), escape="\\"))
    elif call.user is None:
        raise forbidden("Not authorized to access /api/v4/users")
    if search := call.params.text("search"):
        pattern = f"%{_literal(search)}%"
        query = query.where(or_(User.username.ilike(pattern, escape="\\"), User.name.ilike(pattern, escape="\\")))
    return call.rows(query, lambda user: user_basic(call.instance, user))


def _literal(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)


def _user(call: Call) -> User:
    user = call.session.get(User, call.number("user_id", "User"))
    if user is None:
        raise not_found("User")
    return user


def show(call: Call) -> Wire:
    user = _user(call)
    return (user_self if call.me.admin else user_public)(call.instance, user)


def create(call: Call) -> Wire:
    _need_admin(call)
    username, email = call.params.required("username"), call.params.required("email")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}", username):
        raise Refused(400, {"message": {"username": ["can contain only letters, digits, '_', '-' and '.'"]}})
    if call.session.scalar(select(User).where(or_(User.username == username, User.email == email))):
        raise Refused(409, {"message": "Username has already been taken"})
    user = User(
        username=username,
        email=email,
        name=call.params.text("name", username),
        admin=bool(call.params.flag("admin")),
        bot=False,
    )
    call.session.add(user)
    call.session.flush()
    return user_self(call.instance, user)


def create_impersonation_token(call: Call) -> Wire:
    _need_admin(call)
    name, scopes = call.params.required("name"), scopes_of(call)
    expires_at = call.params.text("expires_at") or None
    row, value = access.new_token(call.session, _user(call), scopes=scopes, name=name, expires_at=expires_at)
    return token_wire(row) | {"token": value, "impersonation": True}


def scopes_of(call: Call) -> list[str]:
    """The scopes a new token is asked to have."""
    scopes = call.params.texts("scopes")
    if not scopes:
        raise Refused(400, {"error": "scopes is missing"})
    if set(scopes) - set(access.SCOPES):
        raise Refused(400, {"error": "scopes does not have a valid value"})
    return scopes


def own_token(call: Call) -> Wire:
    # An application's token is no personal one: it has no number.
    if call.me and call.token and call.token.id:
        return token_wire(call.token)
    raise not_found("Token")


def revoke_own_token(call: Call) -> Answer:
    if call.token is None or not call.token.id:
        raise not_found("Token")
    call.token.revoked = True
    return Answer(status=204)


def _need_admin(call: Call) -> None:
    if not call.me.admin:
        raise forbidden()


ROUTES = [
    Route("GET", "/user", current),
    Route("GET", "/users", index),
    Route("POST", "/users", create),
    Route("GET", "/users/:user_id", show),
    Route("POST", "/users/:user_id/impersonation_tokens", create_impersonation_token),
    Route("GET", "/personal_access_tokens/self", own_token),
    Route("DELETE", "/personal_access_tokens/self", revoke_own_token),
]
