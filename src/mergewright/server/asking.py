"""Who asks, as every route of the API and every page finds it out."""

import re
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Header, Request

from mergewright.app.people import Person
from mergewright.app.rights import CHANGING, need_scope
from mergewright.domain.errors import Forbidden

if TYPE_CHECKING:
    from mergewright.server.app import Services

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SCOPES = ("/sessions", "/api/v1/sessions", "/api/v4/ai/duo_workflows/", "/sign-out")
"""Where a token with the scope for sessions alone does, which is looked at there, or none is needed."""
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def services_of(request: Request) -> "Services":
    """Give what this server's routes work with."""
    services: Services = request.app.state.services
    return services


async def _asking(
    request: Request,
    _token: Annotated[str, Header(alias="Authorization")] = "",
    _private: Annotated[str, Header(alias="PRIVATE-TOKEN")] = "",
) -> Person:
    person = await services_of(request).people.of(request)
    # For the access log.
    request.state.person_name = person.user.username
    if request.method not in SAFE:
        if person.csrf:
            await own_form(request, person.csrf)
        if not request.url.path.startswith(OWN_SCOPES):
            await need_scope(services_of(request).sessions.scopes, person, CHANGING)
    return person


Asking = Annotated[Person, Depends(_asking)]
"""The person who asks; without one the route answers 401, and a page leads to the sign-in."""


def still_sees(request: Request, session_id: str) -> Callable[[], Awaitable[object]]:
    """Give what raises once whoever asked is signed out, or may not see a session any more."""

    async def look() -> object:
        services = services_of(request)
        return await services.sessions.one(await services.people.of(request), session_id)

    return look


async def own_form(request: Request, expected: str) -> None:
    """Raise Forbidden for what another page made a browser send, cookie and all."""
    if not same_origin(request):
        raise Forbidden("this came from another page", hint="go back, reload the page and send it again")
    sent = request.headers.get("x-csrf-token", "")
    if not sent and request.headers.get("content-type", "").lower().startswith(FORMS):
        # What is read here is kept: the route reads the same form again.
        value = (await request.form()).get("csrf")
        sent = value if isinstance(value, str) else ""
    if not expected or not compare_digest(sent.encode(), expected.encode()):
        raise Forbidden("this form is too old", hint="go back, reload the page and send it again")


def same_origin(request: Request) -> bool:
    """Whether a browser says that a page of ours sent this; what is no browser says nothing."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    own = urlsplit(services_of(request).rules.url).netloc
    return bool(urlsplit(origin).netloc) and urlsplit(origin).netloc in {request.headers.get("host", ""), own}


def local_path(back: str) -> str:
    """Give an address to lead back to, which never leaves this server."""
    # A browser takes `//host` and `/\\host` for another machine, and drops tabs and line ends before it looks.
    return back if re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", back) and len(back) <= 2000 else "/"
