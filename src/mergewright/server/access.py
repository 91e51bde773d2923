"""The access log, and what is counted of each request: routes by their template, never a query or a token."""

import logging
import re
import time
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mergewright.app.webhooks import WEBHOOK

if TYPE_CHECKING:
    from mergewright.app.meters import Meters

OUTCOMES = {200: "nothing to do", 202: "taken", 400: "malformed", 401: "refused", 413: "too large", 429: "too many"}
EVENTS = frozenset({
    "Push Hook", "Tag Push Hook", "Issue Hook", "Confidential Issue Hook", "Note Hook", "Confidential Note Hook",
    "Merge Request Hook", "Pipeline Hook", "Job Hook", "System Hook", "Emoji Hook", "Member Hook",
})  # fmt: skip
OFTEN = ("/-/", "/health", "/static")
"""What is asked for all the time, and stands in the log only where it holds everything."""
log = logging.getLogger("mergewright.access")


class Access:
    """Writes one line for each request once it is answered; one that streams, when it ends."""

    def __init__(self, app: ASGIApp, meters: "Meters | None" = None) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, streams = time.perf_counter(), 500, False

        async def answered(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = any(
                    name.lower() == b"content-type" and value.startswith(b"text/event-stream")
                    for name, value in message.get("headers", ())
                )
                if streams and self._meters:
                    self._meters.watchers.inc()
            await send(message)

        try:
            await self._app(scope, receive, answered)
        finally:
            if streams and self._meters:
                self._meters.watchers.dec()
            self._tell(scope, status, time.perf_counter() - started, streams=streams)

    def _tell(self, scope: Scope, status: int, seconds: float, *, streams: bool) -> None:
        method, route = str(scope["method"]), route_of(scope)
        facts: dict[str, object] = {"method": method, "route": route, "status": status, "ms": round(seconds * 1000)}
        if person := scope.get("state", {}).get("person_name"):
            facts["person"] = person
        log.log(logging.DEBUG if route.startswith(OFTEN) else logging.INFO, "answered", extra=facts)
        if self._meters is None:
            return
        if not streams:
            self._meters.request(method, route, status, seconds)
        if route == WEBHOOK:
            named = dict(scope["headers"]).get(b"x-gitlab-event", b"").decode("latin-1")
            self._meters.delivery(named if named in EVENTS else "other", OUTCOMES.get(status, "failed"), seconds)


def route_of(scope: Scope) -> str:
    """Give the template of the path that was asked for; what no route takes is `unknown`."""
    path, template = str(scope["path"]), str(getattr(scope.get("route"), "path", ""))
    if not template:
        if path == WEBHOOK:
            # Its route is a plain one, which leaves nothing of itself in the scope.
            return WEBHOOK
        return "/static" if path.startswith("/static/") else "unknown"
    # A route knows its path from its router on; what stands before it is the router's, and the same for all.
    rendered = template
    for name, value in scope.get("path_params", {}).items():
        rendered = re.sub(rf"\{{{name}(:\w+)?\}}", str(value).replace("\\", r"\\"), rendered)
        path = path if f"{{{name}" in template else path.replace(f"/{value}/", f"/{{{name}}}/", 1)
    return path.removesuffix(rendered) + template if path.endswith(rendered) else template
