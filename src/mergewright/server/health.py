"""What whoever looks after the server asks: does it live, is it ready, and its numbers for Prometheus."""

import asyncio
import hmac
import ipaddress
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from mergewright.domain.errors import MergewrightError
from mergewright.server import problems

if TYPE_CHECKING:
    from mergewright.app.meters import Meters
    from mergewright.gitlab.forge import GitLabForge
    from mergewright.store.census import Census, Counting
    from mergewright.store.sql import SqlStore

PATIENCE = 5.0
"""Seconds in which each part must answer."""
KEPT = 5.0
"""Seconds for which an answer is good: whoever asks often makes no work for the forge."""
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(slots=True)
class Operations:
    """What the paths under `/-/` look at."""

    store: "SqlStore"
    forge: "GitLabForge"
    meters: "Meters"
    counting: "Counting"
    sandbox: Callable[[], None] | None = None
    """Tries the sandbox out; None in a process that runs nothing in one."""
    token: str = field(default="", repr=False)
    public: bool = False
    """Whether people come from elsewhere: then who asks on this machine may be a proxy."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _known: tuple[float, dict[str, str]] = (0.0, {})

    def trusts(self, request: Request) -> bool:
        """Whether who asks may see numbers and details: by the token, or from this machine where none is set."""
        if self.token:
            given = request.headers.get("authorization", "").encode()
            return hmac.compare_digest(given, f"Bearer {self.token}".encode())
        if self.public or any(name in request.headers for name in FORWARDED):
            return False
        # A name of this machine: else a page elsewhere could ask through the reader's browser.
        return _is_loopback(request.client.host if request.client else "") and _is_loopback(request.url.hostname or "")

    async def failures(self) -> dict[str, str]:
        """Give what is wrong with each part; an empty text where nothing is."""
        async with self._lock:
            at, known = self._known
            if not known or time.monotonic() - at > KEPT:
                parts: dict[str, Callable[[], Awaitable[object]]] = {
                    "database": self.counting.census,
                    "forge": self.forge.look,
                    "workers": self._workers,
                }
                if self.sandbox is not None:
                    check = self.sandbox
                    parts["sandbox"] = lambda: asyncio.to_thread(check)
                found = await asyncio.gather(*(_failure(ask) for ask in parts.values()))
                self._known = time.monotonic(), dict(zip(parts, found, strict=True))
            return self._known[1]

    async def _workers(self) -> None:
        if not (await self.counting.census()).workers:
            raise MergewrightError("no process takes up work")

    async def numbers(self) -> bytes:
        """Give everything that was counted, as Prometheus reads it."""
        async with self._lock:
            await self.counting.read_on(self.meters.event)
            census: Census = await self.counting.census()
            self.meters.take(census)
            return await asyncio.to_thread(self.meters.text)


def health_routes(operations: Operations) -> APIRouter:
    """Give the paths under `/-/`, where GitLab has its own."""
    router = APIRouter(prefix="/-", include_in_schema=False)

    @router.get("/health")
    async def health() -> PlainTextResponse:
        return PlainTextResponse("mergewright OK")

    @router.get("/liveness")
    async def liveness() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @router.get("/readiness")
    async def readiness(request: Request) -> JSONResponse:
        failures = await operations.failures()
        told: dict[str, Any] = {"status": "failed" if any(failures.values()) else "ok"}
        if operations.trusts(request):
            told["checks"] = {
                name: {"status": "failed", "message": why} if why else {"status": "ok"}
                for name, why in failures.items()
            }
        return JSONResponse(told, 503 if any(failures.values()) else 200)

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        if not operations.trusts(request):
            hint = "send MERGEWRIGHT_METRICS_TOKEN as `Authorization: Bearer …`"
            return problems.problem(401, "the metrics are not for everybody", hint=hint)
        return Response(await operations.numbers(), media_type=PROMETHEUS)

    return router


async def _failure(ask: Callable[[], Awaitable[object]]) -> str:
    from sqlalchemy.exc import SQLAlchemyError

    try:
        async with asyncio.timeout(PATIENCE):
            await ask()
    except TimeoutError:
        return f"no answer within {PATIENCE:g} s"
    except MergewrightError as error:
        return error.message
    except SQLAlchemyError as error:
        # What the driver says may hold the address with its password.
        return f"the database refuses: {type(error).__name__}"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
