"""The ASGI application: the API, git over HTTP and the pages, each request's work done in a thread."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import dataclass
from ipaddress import ip_address

from anyio import to_thread
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route as WebRoute

from mergewright.localforge import access
from mergewright.localforge.agents import BODY_LIMIT as AGENTS_LIMIT
from mergewright.localforge.agents import serve_flows
from mergewright.localforge.api import (
    access_tokens,
    applications,
    approvals,
    award_emoji,
    branches,
    discussions,
    draft_notes,
    files,
    graphql,
    groups,
    hooks,
    issues,
    jobs,
    labels,
    members,
    merge_request_diffs,
    merge_request_state,
    merge_requests,
    notes,
    pipelines,
    projects,
    repository,
    status_checks,
    statuses,
    suggestions,
    users,
)
from mergewright.localforge.api import instance as installation
from mergewright.localforge.call import Answer, Call
from mergewright.localforge.errors import GitFailed, Refused, forbidden, not_found, unauthorized
from mergewright.localforge.front import FRONTS, serve_front
from mergewright.localforge.instance import Instance
from mergewright.localforge.pages.serving import serve_page
from mergewright.localforge.params import Params, decode
from mergewright.localforge.router import Router
from mergewright.localforge.settings import LOOPBACK
from mergewright.localforge.smart_http import PATH as GIT_PATH
from mergewright.localforge.smart_http import serve_git
from mergewright.localforge.tables import Token, User

logger = logging.getLogger(__name__)
PREFIX = "/api/v4"
RESOURCES = (
    installation,
    users,
    projects,
    groups,
    members,
    access_tokens,
    applications,
    hooks,
    labels,
    repository,
    files,
    branches,
    statuses,
    issues,
    notes,
    discussions,
    award_emoji,
    merge_requests,
    merge_request_state,
    merge_request_diffs,
    draft_notes,
    suggestions,
    approvals,
    status_checks,
    pipelines,
    jobs,
)
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it came, before anybody knows who asks for what."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


def build_app(instance: Instance, lifespan: Lifespan) -> Starlette:
    """Put the faces of one installation together."""
    router = Router(route for resource in RESOURCES for route in resource.ROUTES)
    beside = Router(graphql.ROUTES)

    async def serve(request: Request) -> Response:
        if not _local(request):
            return PlainTextResponse("403 Forbidden: this forge serves its own machine only\n", status_code=403)
        # The raw path: in the decoded one, `group%2Fproject` would look like two segments.
        path = request.scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or request.url.path
        if path.startswith(f"{PREFIX}/ai/"):
            return await _flows(instance, request, path.removeprefix(PREFIX))
        if path.startswith(f"{PREFIX}/"):
            return await _api(instance, router, request, path.removeprefix(PREFIX))
        if path.rstrip("/") == "/api/graphql":
            return await _api(instance, beside, request, "/graphql")
        if request.scope["path"] in FRONTS:
            return await serve_front(instance, request)
        if path.startswith("/api/"):
            return JSONResponse({"error": "404 Not Found"}, status_code=404)
        if found := GIT_PATH.fullmatch(request.scope["path"]):
            return await serve_git(instance, request, found["project"], found["service"])
        return await serve_page(instance, request)

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return Starlette(routes=[WebRoute("/{path:path}", serve, methods=methods)], lifespan=lifespan)


def _local(request: Request) -> bool:
    """Whether the request was meant for this machine: a foreign host name is a rebinding attack."""
    host = re.sub(r":\d+$", "", request.headers.get("host", "")).strip("[]")
    client = request.client.host if request.client else ""
    return host in LOOPBACK and (client in LOOPBACK or _is_loopback(client))


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


async def _api(instance: Instance, router: Router, request: Request, path: str) -> Response:
    try:
        body = await _body(request, instance.settings.body_limit)
        incoming = Incoming(request.method, path, request.url.query, request.headers, body)
        return await to_thread.run_sync(answer, instance, router, incoming)
    except Refused as refused:
        return JSONResponse(refused.body, status_code=refused.status, headers=refused.headers)
    except ClientDisconnect:
        return Response(status_code=400)


async def _flows(instance: Instance, request: Request, path: str) -> Response:
    try:
        return await serve_flows(instance, request, path, await _body(request, AGENTS_LIMIT))
    except Refused as refused:
        return JSONResponse(refused.body, status_code=refused.status, headers=refused.headers)
    except ClientDisconnect:
        return Response(status_code=400)


async def _body(request: Request, limit: int) -> bytes:
    """The whole body, as long as it keeps to the limit."""
    too_large = Refused(413, {"error": "Request Entity Too Large"})
    if int(request.headers.get("content-length") or 0) > limit:
        raise too_large
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)


def answer(instance: Instance, router: Router, incoming: Incoming) -> Response:
    """Find the endpoint, the user and a transaction, and turn the outcome into a response."""
    route, names = router.find(incoming.method, incoming.path)
    if any("\0" in name for name in names.values()):
        raise Refused(400, {"error": "400 Bad request"})
    params = Params(decode(incoming.query, incoming.headers.get("content-type", ""), incoming.body))
    reading = incoming.method in {"GET", "HEAD"}
    with ExitStack() as stack:
        session = stack.enter_context(instance.read() if reading else instance.write())
        value = access.sent_token(incoming.headers, params.values)
        token = access.find_token(session, value) if value else None
        if token:
            access.check_scope(token, method=incoming.method, path=incoming.path)
        elif not reading and not route.public:
            raise unauthorized()
        user = token.user if token else None
        sudo = incoming.headers.get("sudo") or params.text("sudo")
        if sudo and token:
            user = _sudo(session, token, sudo)
        call = Call(instance, session, user, token, incoming.method, incoming.path, names, params)
        try:
            reply = route.endpoint(call)
        except GitFailed as failed:
            logger.error("git failed on %s %s: %s", incoming.method, incoming.path, failed)
            raise Refused(500, {"message": "500 Internal Server Error"}) from failed
    if isinstance(reply, Answer):
        return _response(reply.body, reply.status, reply.headers, reply.media_type)
    return _response(reply, route.success, {}, "application/json")


def _response(body: object, status: int, headers: dict[str, str], media_type: str) -> Response:
    if status == 204:
        return Response(status_code=204, headers=headers)
    content = (
        body
        if isinstance(body, bytes)
        else json.dumps(body, ensure_ascii=False, default=str).encode("utf-8", "replace")
    )
    return Response(content, status_code=status, headers=headers, media_type=media_type)


def _sudo(session: Session, token: Token, name: str) -> User:
    """Act as somebody else: administrators may, with a token made for it."""
    if not token.user.admin:
        raise forbidden("Must be admin to use sudo")
    if "sudo" not in token.scopes:
        raise access.insufficient_scope("sudo")
    matches = User.id == int(name) if name.isdecimal() else User.username == name
    user = session.scalar(select(User).where(matches))
    if user is None:
        raise not_found(f"User with ID or username '{name}'")
    return user
