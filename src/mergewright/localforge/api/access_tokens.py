"""Project access tokens: a token with a bot user of its own."""

import secrets

from sqlalchemy import select

from mergewright.localforge import access
from mergewright.localforge.api.users import scopes_of
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import Refused, not_found
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Member, Token, User
from mergewright.localforge.wire.users import token_wire


def _entity(call: Call, token: Token) -> Wire:
    level = access.access_level(call.session, call.project, token.user)
    return token_wire(token) | {"access_level": level, "resource_type": "project", "resource_id": call.project.id}


def _prefix(call: Call) -> str:
    return f"project_{call.project.id}_bot_"


def index(call: Call) -> Answer:
    call.need(access.MAINTAINER)
    query = select(Token).join(User).where(User.bot.is_(True), User.username.startswith(_prefix(call), autoescape=True))
    return call.rows(query.order_by(Token.id), lambda token: _entity(call, token))


def create(call: Call) -> Wire:
    call.need(access.MAINTAINER)
    name, scopes = call.params.required("name"), scopes_of(call)
    level = call.params.integer("access_level", access.MAINTAINER) or 0
    if level not in {10, 15, 20, 30, 40, 50} or level > call.level:
        raise Refused(400, {"error": "access_level does not have a valid value"})
    username = f"{_prefix(call)}{secrets.token_hex(16)}"
    bot = User(username=username, name=name, email=f"{username}@noreply.localhost", bot=True)
    call.session.add(bot)
    call.session.flush()
    call.session.add(Member(project_id=call.project.id, user_id=bot.id, access_level=level))
    expires_at = call.params.text("expires_at") or None
    row, value = access.new_token(call.session, bot, scopes=scopes, name=name, expires_at=expires_at)
    return _entity(call, row) | {"token": value}


def revoke(call: Call) -> Answer:
    call.need(access.MAINTAINER)
    token = call.session.get(Token, call.number("token_id", "Access Token"))
    if token is None or not token.user.bot or not token.user.username.startswith(_prefix(call)):
        raise not_found("Access Token")
    token.revoked = True
    return Answer(status=204)


ROUTES = [
    Route("GET", "/projects/:id/access_tokens", index),
    Route("POST", "/projects/:id/access_tokens", create),
    Route("DELETE", "/projects/:id/access_tokens/:token_id", revoke),
]
