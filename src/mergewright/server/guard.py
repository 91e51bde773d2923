"""Stands before every route: who may be asked under which name, how much, how often, and what each answer carries."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from math import ceil
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mergewright.app.rates import Rate
from mergewright.server import problems

LARGEST = 10 * 1024**2
"""Bytes of a request."""
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: a browser would then send forms of our own pages as if they came from nowhere.
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}
log = logging.getLogger("mergewright.guard")
UNCOUNTED = ("/webhooks/", "/static/", "/-/", "/health")
"""Asked for in bursts by machines that prove themselves, or cheap to answer."""
SIGN_IN = {("POST", "/sign-in"), ("GET", "/sign-in/callback")}


@dataclass(frozen=True, slots=True)
class Rules:
    """What the guard holds requests to."""

    url: str = ""
    """The public address."""
    hosts: frozenset[str] = frozenset()
    """Names under which the server may be asked beside its own and this machine's."""
    proxies: Sequence[IPv4Network | IPv6Network] = ()
    """Whose word for an address is believed."""
    address: Rate = field(default_factory=lambda: Rate(600, 10.0))
    """Requests of one address, where an office of people may be: 600, and 60 more each second."""
    sign_in: Rate = field(default_factory=lambda: Rate(20, 120.0))
    """Tries of one address to sign in: 20, and 10 more each minute."""

    @classmethod
    def read(cls, *, url: str, hosts: frozenset[str], proxies: Sequence[str], rate: int = 150) -> "Rules":
        """Make the rules of an installation; `rate` is what one person may ask for in ten seconds."""
        return cls(url, hosts, tuple(ip_network(one) for one in proxies), Rate(4 * rate, 10.0))


class TooLarge(HTTPException):
    """A body that goes on beyond the limit."""

    def __init__(self) -> None:
        super().__init__(413, f"the request is larger than {LARGEST} bytes")


class Guard:
    """A layer around the application that costs little and lets streams through as they come."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules
        self._own = (urlsplit(rules.url).hostname or "").lower()
        self._headers = HEADERS | (
            {"Strict-Transport-Security": "max-age=31536000"} if rules.url.startswith("https://") else {}
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        address = self._address(scope, headers)
        scope["client"] = (address, (scope.get("client") or ("", 0))[1])
        head = scope["method"] == "HEAD"
        done, begun, size = False, False, 0

        async def sent(message: Message) -> None:
            nonlocal done, begun
            if done:
                return
            if message["type"] == "http.response.start":
                begun = True
                if head:
                    scope["method"] = "HEAD"
                given = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in self._headers.items():
                    given.setdefault(name, value)
            elif head:
                # An answer without end would never come to one.
                done = True
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        async def received() -> Message:
            nonlocal size
            if done:
                return {"type": "http.disconnect"}
            message = await receive()
            size += len(message.get("body", b""))
            if size > LARGEST:
                raise TooLarge
            return message

        refusal = self._refusal(scope, headers, address)
        if refusal is not None:
            await refusal(scope, receive, sent)
            return
        if head:
            # Whatever can be read can be asked about.
            scope["method"] = "GET"
        try:
            await self._app(scope, received, sent)
        except Exception:
            if begun:
                raise
            # Further out nobody would give this answer its headers.
            log.exception("a request broke")
            answer = _refused(scope["path"], 500, "something broke here", hint="the server's log says what")
            await answer(scope, receive, sent)

    # --- what is refused before anybody looks -------------------------------------------------------

    def _refusal(self, scope: Scope, headers: Headers, address: str) -> Response | None:
        path = scope["path"]
        hosts = headers.getlist("host")
        # A proxy may have gone by the other of two.
        if len(hosts) != 1 or not self._may_be_asked_as(hosts[0]):
            return _refused(path, 421, "the server is not asked under this name", hint="set MERGEWRIGHT_HOSTS")
        length = headers.get("content-length", "0")
        if not re.fullmatch(r"\d{1,18}", length, re.ASCII):
            return _refused(path, 400, "the length of the request is no number")
        if int(length) > LARGEST:
            return _refused(path, 413, f"the request is larger than {LARGEST} bytes")
        waits = 0.0
        if (scope["method"], path) in SIGN_IN:
            waits = self._rules.sign_in.take(_household(address))
        elif not path.startswith(UNCOUNTED):
            waits = self._rules.address.take(_household(address))
        if waits:
            answer = _refused(path, 429, "too many requests", hint=f"wait {ceil(waits)} seconds")
            answer.headers["Retry-After"] = str(ceil(waits))
            return answer
        return None

    def _may_be_asked_as(self, host: str) -> bool:
        """Whether a host is ours: a page elsewhere can give our address a name of its own."""
        name = re.sub(r":\d{1,5}$", "", host.lower()).rstrip(".")
        if not name or not re.fullmatch(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]", name):
            return False
        if name in {self._own, "localhost"} or name in self._rules.hosts or name.endswith(".localhost"):
            return True
        # A number cannot be pointed elsewhere.
        return _number(name.strip("[]")) != ""

    def _address(self, scope: Scope, headers: Headers) -> str:
        """Who asks: the nearest address that is not a proxy of ours."""
        address = _number((scope.get("client") or ("", 0))[0])
        if not address or not self._proxy(address):
            return address
        for text in reversed(",".join(headers.getlist("x-forwarded-for")).split(",")):
            further = _number(text.strip().strip("[]"))
            if not further:
                break
            address = further
            if not self._proxy(address):
                break
        return address

    def _proxy(self, address: str) -> bool:
        known = ip_address(address)
        return any(known in network for network in self._rules.proxies)


def _number(text: str) -> str:
    """Give an address in its usual form; empty for what is none."""
    try:
        found = ip_address(text)
    except ValueError:
        return ""
    return str(getattr(found, "ipv4_mapped", None) or found)


def _household(address: str) -> str:
    """Give who is counted as one: whoever has one address of the newer kind has 2**64 of them."""
    return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address


def _refused(path: str, status: int, title: str, *, hint: str = "") -> Response:
    if path.startswith(problems.GITLAB):
        return problems.as_gitlab(status, title)
    if path.startswith(("/api/", "/webhooks/")):
        return problems.problem(status, title, hint=hint)
    return PlainTextResponse(f"{title}{f': {hint}' if hint else ''}\n", status)
