"""Signing in to the forge with a browser: by a personal token, or by a link that works once."""

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from hmac import compare_digest
from urllib.parse import quote, urlsplit

from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from mergewright.localforge import access
from mergewright.localforge.errors import Refused
from mergewright.localforge.instance import Instance
from mergewright.localforge.login_tables import Application, BrowserLogin, SignInLink
from mergewright.localforge.tables import User

LASTS = 7 * 86_400.0
"""Seconds after which somebody signs in again, whatever they did."""
LINK_LASTS = 86_400.0
SEEN_EVERY = 60.0
OLD = "This form is too old or came from elsewhere: go back, reload the page and send it again"


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody who is signed in, and what each of their forms must carry."""

    user: User
    csrf: str


def login_of(session: Session, request: HTTPConnection) -> Login | None:
    """Give who is signed in with the browser that asks; None for nobody."""
    cookie = request.cookies.get(cookie_name(request), "")
    if not cookie:
        return None
    row = session.scalar(select(BrowserLogin).where(BrowserLogin.digest == access.digest(cookie)))
    if row is None or row.created_at < time.time() - LASTS:
        return None
    return Login(row.user, csrf_of(cookie))


def user_of(session: Session, request: HTTPConnection) -> User | None:
    """Give the user who is signed in with the browser that asks."""
    login = login_of(session, request)
    return login.user if login else None


def cookie_name(request: HTTPConnection, *, visit: bool = False) -> str:
    """Give the cookie's name; browsers tell hosts apart but not ports, so the port is part of it."""
    port = (request.scope.get("server") or ("", 0))[1]
    return f"localforge-visit-{port}" if visit else f"localforge-{port}"


def csrf_of(cookie: str) -> str:
    """What a form must carry: only a page that the cookie's browser was given can know it."""
    return hashlib.sha256(f"csrf:{cookie}".encode()).hexdigest()


def own_form(request: HTTPConnection, sent: object, expected: str) -> bool:
    """Whether a form came from a page of ours that its sender had."""
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        return False
    return bool(expected) and isinstance(sent, str) and compare_digest(sent.encode(), expected.encode())


def local_path(back: str) -> str:
    """Give an address to lead back to, which never leaves this forge."""
    # A browser takes `//host` and `/\\host` for another machine, and drops tabs and line ends before it looks.
    return back if re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", back) and len(back) <= 4096 else "/"


def sign_in(session: Session, user: User, request: HTTPConnection, response: Response) -> None:
    """Sign somebody in with a cookie that was never used before."""
    value, now = secrets.token_urlsafe(32), time.time()
    forget(session, request)
    session.execute(delete(BrowserLogin).where(BrowserLogin.created_at < now - LASTS))
    session.add(BrowserLogin(user_id=user.id, digest=access.digest(value), created_at=now, seen_at=now))
    response.set_cookie(cookie_name(request), value, max_age=int(LASTS), httponly=True, samesite="lax")
    response.delete_cookie(cookie_name(request, visit=True), httponly=True, samesite="lax")


def forget(session: Session, request: HTTPConnection) -> None:
    """Let the cookie that came with a request count no longer."""
    if old := request.cookies.get(cookie_name(request), ""):
        session.execute(delete(BrowserLogin).where(BrowserLogin.digest == access.digest(old)))


def link_of(session: Session, user: User) -> str:
    """Make what signs somebody in once, for a day."""
    value = secrets.token_urlsafe(32)
    session.execute(delete(SignInLink).where(SignInLink.expires_at < time.time()))
    session.add(SignInLink(user_id=user.id, digest=access.digest(value), expires_at=time.time() + LINK_LASTS))
    return value


# --- the pages ---------------------------------------------------------------------------------


def form_headers(session: Session) -> dict[str, str]:
    """The headers of a page whose form may lead on to an application: browsers hold redirects to `form-action`."""
    from mergewright.localforge.pages.looks import HEADERS

    addresses = [one for application in session.scalars(select(Application)) for one in application.redirect_uris]
    origins = {"{0.scheme}://{0.netloc}".format(urlsplit(one)) for one in addresses}
    allowed = " ".join(["form-action 'self'", *sorted(origins)])
    policy = HEADERS["Content-Security-Policy"].replace("form-action 'self'", allowed)
    return HEADERS | {"Content-Security-Policy": policy}


def show(session: Session, name: str, *, login: Login | None = None, status: int = 200, **values: object) -> Response:
    """Give a page of signing in."""
    from starlette.responses import HTMLResponse

    from mergewright.localforge.pages.looks import render
    from mergewright.localforge.pages.visit import Visitor

    visitor = Visitor(login.user, login.csrf) if login else Visitor()
    about = {"visitor": visitor, "agents_url": "", "status": status, "login": login}
    return HTMLResponse(render(name, **(about | values)), status_code=status, headers=form_headers(session))


def answer_sign_in(instance: Instance, request: Request, values: dict[str, object]) -> Response:
    """Show the form, follow a link that works once, or take the form."""
    back = local_path(str(values.get("back") or "/"))
    if request.method == "GET" and (once := str(values.get("once") or "")):
        return _by_link(instance, request, once, back)
    if request.method in {"GET", "HEAD"}:
        with instance.read() as session:
            return _form(session, request, back)
    with instance.write() as session:
        visit = request.cookies.get(cookie_name(request, visit=True), "")
        if not visit or not own_form(request, values.get("csrf"), csrf_of(visit)):
            return _form(session, request, back, error=OLD, status=403)
        try:
            token = access.find_token(session, str(values.get("token") or "").strip())
            access.check_scope(token, method="GET", path="/user")
        except Refused:
            error = "This token is not known, has expired, or may not read"
            return _form(session, request, back, error=error, status=401)
        led = RedirectResponse(back, status_code=303)
        sign_in(session, token.user, request, led)
        return led


def _by_link(instance: Instance, request: Request, once: str, back: str) -> Response:
    with instance.write() as session:
        row = session.scalar(select(SignInLink).where(SignInLink.digest == access.digest(once)))
        if row is None or row.expires_at < time.time():
            error = "This link was used already, or is too old"
            return _form(session, request, back, error=error, status=403)
        user = session.get_one(User, row.user_id)
        session.delete(row)
        led = RedirectResponse(back, status_code=303, headers={"Referrer-Policy": "no-referrer"})
        sign_in(session, user, request, led)
        return led


def _form(session: Session, request: Request, back: str, *, error: str = "", status: int = 200) -> Response:
    known = request.cookies.get(cookie_name(request, visit=True), "")
    visit = known if re.fullmatch(r"[\w-]{43}", known) else secrets.token_urlsafe(32)
    page = show(session, "sign_in.html", status=status, title="Sign in", csrf=csrf_of(visit), back=back, error=error)
    page.set_cookie(cookie_name(request, visit=True), visit, max_age=3600, httponly=True, samesite="lax")
    return page


def answer_sign_out(instance: Instance, request: Request, values: dict[str, object]) -> Response:
    """Sign out."""
    with instance.write() as session:
        login = login_of(session, request)
        if login and not own_form(request, values.get("csrf"), login.csrf):
            return show(session, "refused.html", status=403, title="Refused", reason=OLD, back="/")
        forget(session, request)
    led = RedirectResponse("/users/sign_in", status_code=303)
    led.delete_cookie(cookie_name(request), httponly=True, samesite="lax")
    return led


def to_sign_in(request: Request) -> Response:
    """Lead to the sign-in, and back afterwards."""
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/users/sign_in?back={quote(back, safe='')}", status_code=303)
