"""One visit to a page: who looks, at what, and with which right."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session
from starlette.requests import Request

from mergewright.localforge import access
from mergewright.localforge.call import Call
from mergewright.localforge.errors import Refused, not_found
from mergewright.localforge.instance import Instance
from mergewright.localforge.logins import login_of, own_form
from mergewright.localforge.params import Params
from mergewright.localforge.positions import NO_LINE_CODE
from mergewright.localforge.tables import Project, User

Shown = tuple[str, dict[str, Any]]
"""A template and what it shows."""


STATUS = re.compile(
    r"\A\d{3} (?:Bad Request|Forbidden|Service Unavailable|Gateway Timeout|Bad Gateway|Conflict) - ", re.IGNORECASE
)
WORDS = {
    "401 Unauthorized": "You may not do this",
    "403 Forbidden": "You may not do this",
    "404 Not found": "This is not there any more",
    "405 Method Not Allowed": "It cannot be merged as it stands",
    f"400 Bad request - {NO_LINE_CODE}": "The changes have no such line",
}
"""What the API says by a number, for people."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks: somebody signed in, somebody with a token, or anybody."""

    user: User | None = None
    csrf: str = ""
    """What each form of this visitor must carry; empty where no cookie speaks for them."""


@dataclass(frozen=True)
class Visit:
    """A request for a page of a project, with the call that the API's own functions take."""

    call: Call
    visitor: Visitor

    @property
    def instance(self) -> Instance:
        return self.call.instance

    @property
    def session(self) -> Session:
        return self.call.session

    @property
    def project(self) -> Project:
        return self.call.project

    @property
    def me(self) -> User | None:
        return self.call.user

    @property
    def level(self) -> int:
        return self.call.level

    @property
    def home(self) -> str:
        return f"/{self.project.path_with_namespace}"

    def text(self, name: str) -> str:
        return self.call.params.text(name)

    @property
    def page(self) -> int:
        return min(self.call.page, 10_000)

    def may(self, level: int) -> bool:
        """Whether somebody is signed in who has this level here."""
        return self.me is not None and self.level >= level

    @property
    def reads_code(self) -> bool:
        return access.can_read_code(self.project, self.me, self.level)


def visitor_of(session: Session, request: Request, path: str) -> Visitor:
    """Who asks for a page: by a token in a header, as API clients send it, or by the cookie of a sign-in."""
    if value := access.sent_token(request.headers, {}):
        token = access.find_token(session, value)
        access.check_scope(token, method=request.method, path=path)
        return Visitor(token.user)
    login = login_of(session, request)
    return Visitor(login.user, login.csrf) if login else Visitor()


def visit(
    instance: Instance,
    session: Session,
    visitor: Visitor,
    *,
    method: str,
    project: str,
    below: str,
    names: Mapping[str, str],
    params: Mapping[str, Any],
) -> Visit:
    """Take a visitor to a project; raises Refused where there is none that they can see."""
    given = {"id": project} | dict(names)
    if any("\0" in value for value in given.values()) or project.isdecimal():
        raise not_found("Project")
    path = f"/projects/{project}/{below}"
    call = Call(instance, session, visitor.user, None, method, path, given, Params(dict(params)))
    if not call.project:
        raise not_found("Project")
    return Visit(call, visitor)


def reason(refused: Refused) -> str:
    """Why something was refused, in a sentence or two."""
    said = refused.body.get("message") or refused.body.get("error") or ""
    if isinstance(said, dict):
        parts = [f"{name} {', '.join(map(str, told))}" for name, told in said.items() if isinstance(told, list)]
        return "; ".join(parts).replace("_", " ").capitalize()
    text = "; ".join(map(str, said)) if isinstance(said, list) else str(said)
    return WORDS.get(text, STATUS.sub("", text))


def proven(visitor: Visitor, request: Request, values: Mapping[str, Any]) -> bool:
    """Whether a form came from a page that its sender had from us; a token in a header proves it by itself."""
    if access.sent_token(request.headers, {}):
        return True
    return own_form(request, values.get("csrf") or request.headers.get("x-csrf-token"), visitor.csrf)
