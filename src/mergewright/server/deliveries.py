"""Takes GitLab's deliveries: proved, read, and kept with what they ask for before they are answered."""

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from mergewright.domain.session import JSON
from mergewright.server import problems
from mergewright.server.hooks import triggers

if TYPE_CHECKING:
    from mergewright.server.app import Services


class Deliveries:
    """What stands at `/webhooks/gitlab`."""

    def __init__(self, services: "Services") -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if why := self._services.secrets.refuse(headers, now=time.time()):
            # Who proves nothing is not waited for: a body may come slowly, and be large.
            await problems.problem(401, why)(scope, receive, send)
            return
        try:
            body = await _whole(receive)
        except ClientDisconnect:
            # Whoever sent it is gone, and will send it again.
            return
        answer = await take(self._services, headers, body)
        await answer(scope, receive, send)


async def take(services: "Services", headers: Mapping[str, str], body: bytes) -> JSONResponse:
    """Take a delivery and give its answer; header names are in lower case."""
    if why := services.secrets.accept(headers, body, now=time.time()):
        return problems.problem(401, why)
    try:
        payload: JSON = json.loads(body)
        if not isinstance(payload, dict):
            raise ValueError("it is no object")
        found = triggers(payload, services.ours)
    except (ValueError, RecursionError) as error:
        return problems.problem(400, f"the delivery is no JSON: {str(error)[:200]}")
    new = await services.triggers.deliver(services.secrets.identity(headers), found)
    if new and found:
        services.wake()
    return JSONResponse({"taken": len(found) if new else 0, "known": not new}, 202 if new and found else 200)


async def _whole(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)
