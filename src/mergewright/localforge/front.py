"""The addresses of signing in: a browser's, and those of applications."""

from collections.abc import Callable, Mapping
from typing import Any

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from mergewright.localforge.errors import Refused
from mergewright.localforge.instance import Instance
from mergewright.localforge.logins import answer_sign_in, answer_sign_out
from mergewright.localforge.oauth import (
    answer_authorize,
    answer_info,
    answer_revoke,
    answer_token,
    answer_userinfo,
)
from mergewright.localforge.params import decode

LIMIT = 64 * 1024
Front = Callable[[Instance, Request, dict[str, Any]], Response]
FRONTS: Mapping[str, tuple[tuple[str, ...], Front]] = {
    "/users/sign_in": (("GET", "HEAD", "POST"), answer_sign_in),
    "/users/sign_out": (("POST",), answer_sign_out),
    "/oauth/authorize": (("GET", "POST"), answer_authorize),
    "/oauth/token": (("POST",), answer_token),
    "/oauth/revoke": (("POST",), answer_revoke),
    "/oauth/token/info": (("GET",), answer_info),
    "/oauth/userinfo": (("GET", "POST"), answer_userinfo),
}


async def serve_front(instance: Instance, request: Request) -> Response:
    """Answer one of these addresses."""
    methods, answer = FRONTS[request.scope["path"]]
    if request.method not in methods:
        return PlainTextResponse("405 Method Not Allowed\n", status_code=405, headers={"Allow": ", ".join(methods)})
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LIMIT:
                return PlainTextResponse("413 Request Entity Too Large\n", status_code=413)
        # A secret in an address would be read in logs and histories: what is sent counts only in the body.
        query = request.url.query if request.method in {"GET", "HEAD"} else ""
        values = decode(query, request.headers.get("content-type", ""), bytes(body))
        return await to_thread.run_sync(answer, instance, request, values)
    except ClientDisconnect:
        return Response(status_code=400)
    except Refused as refused:
        return JSONResponse(refused.body, status_code=refused.status, headers=refused.headers)
