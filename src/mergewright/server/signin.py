"""Signing in and out with a browser: with GitLab, or by a token of one's own."""

import logging
import re
import secrets
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from mergewright.app.logins import Logins, csrf_of
from mergewright.app.people import Person
from mergewright.domain.errors import MergewrightError, NotFound, Unauthorized
from mergewright.server.asking import Asking, local_path, own_form, services_of
from mergewright.server.pages.base import page
from mergewright.server.problems import status_of
from mergewright.store.logins import LASTS

router = APIRouter()
logger = logging.getLogger(__name__)
VISIT = 3_600.0
"""Seconds for which a browser's form to sign in can be sent."""
Back = Annotated[str, Query(max_length=4000)]


def logins_of(request: Request) -> Logins:
    """Give where logins are kept; raises NotFound where nobody can sign in."""
    logins = services_of(request).people.logins
    if logins is None:
        raise NotFound("there is no sign-in here")
    return logins


def _elsewhere(request: Request, logins: Logins) -> Response | None:
    """Lead to the public address: a cookie of another name of this server would not come back from GitLab."""
    own = urlsplit(logins.url)
    if request.headers.get("host", "").lower() == own.netloc:
        return None
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{logins.url}{quote(request.url.path)}{query}", 303)


@router.get("/sign-in")
async def ask(request: Request, back: Back = "/") -> Response:
    """Show the ways to sign in."""
    logins = logins_of(request)
    if led := _elsewhere(request, logins):
        return led
    person, ended = None, ""
    if request.cookies.get(logins.cookie):
        try:
            person = await services_of(request).people.of(request)
        except Unauthorized as error:
            ended = f"{error.message[:1].upper()}{error.message[1:]}."
    return _page(request, logins, back=local_path(back), person=person, told=ended)


@router.get("/sign-in/gitlab")
async def begin(request: Request, back: Back = "/") -> Response:
    """Lead to GitLab."""
    logins = logins_of(request)
    if led := _elsewhere(request, logins):
        return led
    browser = _visit(request, logins)
    try:
        address = await logins.begin(browser=browser, back=local_path(back))
    except MergewrightError as error:
        return _failed(request, logins, error, back=local_path(back))
    led = RedirectResponse(address, 303)
    _set(led, logins, logins.visit, browser, seconds=VISIT)
    return led


@router.get("/sign-in/callback")
async def finish(
    request: Request,
    code: Annotated[str, Query(max_length=1000)] = "",
    state: Annotated[str, Query(max_length=1000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Take what GitLab says of somebody who signs in."""
    logins = logins_of(request)
    browser = request.cookies.get(logins.visit, "")
    try:
        if error:
            raise Unauthorized("GitLab was not allowed to say who you are", hint="sign in again, or with a token")
        got, back = await logins.finish(code, state, browser=browser)
        person = await services_of(request).people.who("", got.token)
    except MergewrightError as refused:
        return _failed(request, logins, refused, back="/")
    return await _signed_in(
        request, logins, person, back=back, token=got.token, refresh=got.refresh, expires_at=got.expires_at
    )


@router.post("/sign-in")
async def with_token(
    request: Request,
    token: Annotated[str, Form(max_length=256)] = "",
    back: Annotated[str, Form(max_length=4000)] = "/",
) -> Response:
    """Sign in by a personal token."""
    logins = logins_of(request)
    visit = request.cookies.get(logins.visit, "")
    try:
        # Somebody else's form would sign a person in as somebody else.
        await own_form(request, csrf_of(visit) if visit else "")
        person = await services_of(request).people.who("", token.strip())
    except MergewrightError as error:
        return _failed(request, logins, error, back=local_path(back))
    return await _signed_in(request, logins, person, back=back, token=person.token)


@router.post("/sign-out")
async def sign_out(request: Request, person: Asking) -> Response:
    """Forget who is signed in with this browser."""
    logins = logins_of(request)
    led = RedirectResponse("/sign-in", 303)
    _set(led, logins, logins.cookie, "", seconds=0)
    try:
        await logins.sign_out(request.cookies.get(logins.cookie, ""))
    except MergewrightError as error:
        # The login is forgotten here; its token ends by itself.
        logger.warning("the token of @%s could not be revoked: %s", person.user.username, error.message)
    services_of(request).people.forget(person.token)
    logger.info("@%s signed out", person.user.username)
    return led


async def _signed_in(
    request: Request,
    logins: Logins,
    person: Person,
    *,
    back: str,
    token: str,
    refresh: str = "",
    expires_at: float = 0.0,
) -> Response:
    cookie = await logins.kept.add(
        user_id=person.user.id,
        username=person.user.username,
        token=token,
        refresh=refresh,
        expires_at=expires_at,
        old=request.cookies.get(logins.cookie, ""),
    )
    led = RedirectResponse(local_path(back), 303)
    _set(led, logins, logins.cookie, cookie, seconds=LASTS)
    _set(led, logins, logins.visit, "", seconds=0)
    logger.info("@%s signed in", person.user.username)
    return led


def _set(response: Response, logins: Logins, name: str, value: str, *, seconds: float) -> None:
    response.set_cookie(
        name, value, max_age=int(seconds), path="/", secure=logins.secure, httponly=True, samesite="lax"
    )


def _failed(request: Request, logins: Logins, error: MergewrightError, *, back: str) -> Response:
    error = error.discreet()
    told = f"{error.message[:1].upper()}{error.message[1:]}"
    hint = f" — {error.hint}" if error.hint and "sign in again" not in error.hint else ""
    return _page(request, logins, back=back, person=None, told=f"{told}{hint}.", status=status_of(error))


def _page(
    request: Request, logins: Logins, *, back: str, person: Person | None, told: str, status: int = 200
) -> Response:
    visit = _visit(request, logins)
    shown = page(
        request,
        "sign_in.html",
        person,
        status=status,
        title="Sign in",
        back=back,
        csrf=csrf_of(visit),
        told=told,
        with_gitlab=logins.application() is not None,
    )
    _set(shown, logins, logins.visit, visit, seconds=VISIT)
    return shown


def _visit(request: Request, logins: Logins) -> str:
    """Give the secret of a browser that signs in: the one that it has, so that two tabs do not disturb each other."""
    known = request.cookies.get(logins.visit, "")
    return known if re.fullmatch(r"[\w-]{43}", known, re.ASCII) else secrets.token_urlsafe(32)
