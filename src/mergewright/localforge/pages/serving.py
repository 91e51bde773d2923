"""The forge's pages: found by their address, shown to who may see them, changed by forms of their own."""

import json
import re
from typing import Any
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from mergewright.localforge.errors import GitFailed, Refused, forbidden, unauthorized
from mergewright.localforge.instance import Instance
from mergewright.localforge.pages import files, issues, merge_requests, pipelines, projects, sessions
from mergewright.localforge.pages.forms import FORMS, submit
from mergewright.localforge.pages.looks import ASSETS, HEADERS, asset_file, render
from mergewright.localforge.pages.visit import Shown, Visit, Visitor, proven, reason, visit, visitor_of
from mergewright.localforge.params import decode

FORM_LIMIT = 2 * 1024**2
"""Bytes of one form."""
VIEWS = [
    (re.compile(pattern, re.ASCII | re.DOTALL), view)
    for pattern, view in (
        (r"tree/(?P<at>.+)", files.tree),
        (r"blob/(?P<at>.+)", files.blob),
        (r"commits(?:/(?P<at>.+))?", files.commits),
        (r"commit/(?P<sha>[0-9a-f]{7,40})", files.commit),
        (r"branches", files.branches),
        (r"issues", issues.index),
        (r"issues/new", issues.new),
        (r"issues/(?P<iid>\d{1,18})", issues.show),
        (r"merge_requests", merge_requests.index),
        (r"merge_requests/new", merge_requests.new),
        (r"merge_requests/(?P<iid>\d{1,18})", merge_requests.overview),
        (r"merge_requests/(?P<iid>\d{1,18})/diffs", merge_requests.changes),
        (r"merge_requests/(?P<iid>\d{1,18})/commits", merge_requests.commits),
        (r"merge_requests/(?P<iid>\d{1,18})/pipelines", merge_requests.pipelines),
        (r"pipelines", pipelines.index),
        (r"pipelines/(?P<pipeline_id>\d{1,18})", pipelines.show),
        (r"jobs", pipelines.jobs),
        (r"jobs/(?P<job_id>\d{1,18})", pipelines.job),
    )
]
SUBJECT = re.compile(r"(?:issues|merge_requests|pipelines|jobs)(?:/\d{1,18}(?:/diffs)?)?", re.ASCII)
RAW = re.compile(r"raw/(?P<at>.+)", re.DOTALL)


async def serve_page(instance: Instance, request: Request) -> Response:
    """Show a page, or take a form of one."""
    path: str = request.scope["path"]
    if request.method in {"GET", "HEAD"}:
        if path.startswith(ASSETS):
            return _asset(path.removeprefix(ASSETS))
        if found := sessions.PAGE.fullmatch(path):
            return await _sessions(instance, request, path, found["project"])
        return await to_thread.run_sync(_page, instance, request, path)
    if request.method != "POST":
        return PlainTextResponse("405 Method Not Allowed\n", status_code=405, headers={"Allow": "GET, HEAD, POST"})
    try:
        body = await _body(request)
    except ClientDisconnect:
        return Response(status_code=400)
    if body is None:
        return PlainTextResponse("413 Request Entity Too Large\n", status_code=413)
    return await _posted(instance, request, path, body)


async def _body(request: Request) -> bytes | None:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > FORM_LIMIT:
            return None
    return bytes(content)


async def _sessions(instance: Instance, request: Request, path: str, project: str) -> Response:
    """The one page for which others are asked: no transaction is open meanwhile."""
    try:
        looked = await to_thread.run_sync(sessions.look, instance, request, path, project)
    except Refused as refused:
        visitor = await to_thread.run_sync(_visitor, instance, request, path)
        return missing(instance, visitor, path, status=401 if refused.status == 401 else 404)
    return page(instance, looked.visitor, await sessions.listed(instance, looked), looked.seen)


def _visitor(instance: Instance, request: Request, path: str) -> Visitor:
    with instance.read() as session:
        try:
            return visitor_of(session, request, path)
        except Refused:
            return Visitor()


def _asset(name: str) -> Response:
    found = asset_file(name)
    if found is None:
        return PlainTextResponse("404 Not Found\n", status_code=404)
    content, media_type = found
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(content, media_type=media_type, headers=headers)


# --- looking -------------------------------------------------------------------------------------


def _page(instance: Instance, request: Request, path: str) -> Response:
    visitor = Visitor()
    with instance.read() as session:
        try:
            visitor = visitor_of(session, request, path)
            values = decode(request.url.query, "", b"")
            if path.strip("/") == "":
                return page(instance, visitor, projects.home(instance, session, visitor))
            project, below = parted(path)
            seen = visit(
                instance, session, visitor, method="GET", project=project, below=below, names={}, params=values
            )
            if found := RAW.fullmatch(below):
                return files.raw(seen, found["at"])
            return page(instance, visitor, _shown(seen, below), seen)
        except Refused as refused:
            # Who may not see a thing learns as little as if it were not there.
            status = refused.status if refused.status in {400, 401} else 404
            return missing(instance, visitor, path, status=status)
        except GitFailed:
            return missing(instance, visitor, path, status=500)


def parted(path: str) -> tuple[str, str]:
    """Part an address in the project and what is asked of it."""
    project, _, below = path.strip("/").partition("/-/")
    return project.removesuffix("/-"), below


def _shown(seen: Visit, below: str) -> Shown:
    if not below:
        return projects.show(seen)
    for pattern, view in VIEWS:
        if found := pattern.fullmatch(below):
            seen.call.names.update({name: text for name, text in found.groupdict().items() if text is not None})
            return view(seen)
    raise Refused(404, {"error": "404 Not Found"})


def page(
    instance: Instance, visitor: Visitor, shown: Shown, seen: Visit | None = None, *, status: int = 200
) -> Response:
    """Give a page made of a template."""
    name, values = shown
    about: dict[str, Any] = {"visitor": visitor, "agents_url": instance.agents_url, "sign_in": "/users/sign_in"}
    if seen is not None:
        about |= {"project": seen.project, "here": seen.home, "seen": seen}
        below = seen.call.path.removeprefix(f"/projects/{seen.project.path_with_namespace}/")
        about["sign_in"] = f"/users/sign_in?back={quote(f'{seen.home}/-/{below}' if below else seen.home, safe='')}"
    return HTMLResponse(render(name, **(about | values)), status_code=status, headers=HEADERS)


def missing(instance: Instance, visitor: Visitor, path: str, *, status: int) -> Response:
    """Say that there is nothing to see, whether or not there is."""
    back = f"/users/sign_in?back={quote(quote(path), safe='')}"
    shown = "missing.html", {"title": "Not found", "status": status, "sign_in": back}
    return page(instance, visitor, shown, status=status)


# --- forms ---------------------------------------------------------------------------------------


async def _posted(instance: Instance, request: Request, path: str, body: bytes) -> Response:
    project, below = parted(path)
    begins = sessions.begins(below)
    if not begins and not any(form.pattern.fullmatch(below) for form in FORMS):
        return PlainTextResponse("404 Not Found\n", status_code=404)
    visitor, values = Visitor(), dict[str, Any]()
    try:
        visitor, values = await to_thread.run_sync(_allowed, instance, request, path, body)
        if begins:
            to = await sessions.begin(instance, visitor, project, below)
        else:
            to = await to_thread.run_sync(submit, instance, visitor, project, below, values)
        return RedirectResponse(to, status_code=303)
    except Refused as refused:
        return refusal(instance, visitor, refused, back=back_of(path), written=values.get("body"))


def _allowed(instance: Instance, request: Request, path: str, body: bytes) -> tuple[Visitor, dict[str, Any]]:
    """Who sent a form, and what is in it; raises Refused unless it came from a page of ours that they had."""
    values = decode("", request.headers.get("content-type", ""), body)
    with instance.read() as session:
        visitor = visitor_of(session, request, path)
        if visitor.user is None:
            raise unauthorized()
        if not proven(visitor, request, values):
            raise forbidden("This form is too old or came from elsewhere: reload the page and send it again")
    values.pop("csrf", None)
    return visitor, values


def back_of(path: str) -> str:
    """The page that a form stood on, from the form's own address."""
    project, below = parted(path)
    found = SUBJECT.match(below)
    return quote(f"/{project}/-/{found[0]}" if found else f"/{project}")


def refusal(instance: Instance, visitor: Visitor, refused: Refused, *, back: str, written: object) -> Response:
    """Say why something was refused, give back what was written, and lead back."""
    text = reason(refused) or json.dumps(refused.body)
    values = {"title": "Refused", "reason": text, "status": refused.status, "back": back}
    values["written"] = written if isinstance(written, str) else ""
    return page(instance, visitor, ("refused.html", values), status=refused.status)
