"""Errors as pages: one sentence and what to do next, for whoever looks with a browser."""

from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from mergewright.domain.errors import MergewrightError, Unauthorized
from mergewright.server import problems
from mergewright.server.asking import local_path
from mergewright.server.pages.base import page
from mergewright.server.pages.words import ticks

WORDS = {
    404: ("There is no such page", "It may have moved, or its address may be mistyped."),
    405: ("This cannot be done here", "Go back and use the page's own buttons."),
}


def for_people(request: Request) -> bool:
    """Whether a page is asked for, and not the API."""
    return not request.url.path.startswith(("/api/", "/webhooks/", "/static/", "/oauth/"))


async def tell(request: Request, error: Exception) -> Response:
    """Give one of our errors as a page, or as the API has it; whoever has not signed in is led there."""
    answer = await problems.tell(request, error)
    if not for_people(request) or not isinstance(error, MergewrightError):
        return answer
    if isinstance(error, Unauthorized):
        back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if request.method != "GET" or request.headers.get("hx-request"):
            # A form, or a part of a page: people want to be back on the page that it stood on.
            back = _before(request)
        led = f"/sign-in?back={quote(back, safe='')}"
        if request.headers.get("hx-request"):
            return Response(status_code=401, headers={"HX-Redirect": led})
        return RedirectResponse(led, 303)
    told = error.discreet()
    return _page(request, answer.status_code, told.message, told.hint)


def _before(request: Request) -> str:
    """Give the page of ours that a request came from, as far as it says so."""
    came = urlsplit(request.headers.get("referer", ""))
    if not came.netloc or came.netloc != request.headers.get("host", ""):
        return "/"
    return local_path(came.path + (f"?{came.query}" if came.query else ""))


async def tell_http(request: Request, error: Exception) -> Response:
    """Give what the framework refuses as a page."""
    if not isinstance(error, HTTPException):
        raise error
    if not for_people(request):
        return await problems.tell_http(request, error)
    title, hint = WORDS.get(error.status_code, (str(error.detail), ""))
    return _page(request, error.status_code, title, hint)


async def tell_wrong(request: Request, error: Exception) -> Response:
    """Give a form that was filled in wrong as a page."""
    if not isinstance(error, RequestValidationError):
        raise error
    if not for_people(request):
        return await problems.tell_wrong(request, error)
    names = sorted({str(one["loc"][-1]) for one in error.errors()})
    return _page(request, 422, "The page could not read what was sent", f"Look again at: {', '.join(names)}.")


def _page(request: Request, status: int, title: str, hint: str) -> Response:
    # A form leads back to the page it stands on, whose address its own begins with.
    back = "/" if request.method == "GET" else request.url.path.rpartition("/")[0] or "/"
    # A command is no hint for somebody who looks at a page.
    told = "" if hint.startswith("mergewright ") else hint[:1].upper() + hint[1:]
    sentence = title[:1].upper() + title[1:]
    return page(request, "problem.html", None, status=status, title=sentence, hint=told, back=back, ticks=ticks)


def add_problems(app: FastAPI) -> None:
    """Show errors to people as pages."""
    app.add_exception_handler(MergewrightError, tell)
    app.add_exception_handler(HTTPException, tell_http)
    app.add_exception_handler(RequestValidationError, tell_wrong)
