"""The HTTP server: GitLab's webhooks come in, and people ask for reviews and settle findings over REST."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.routing import Route

from mergewright import __version__
from mergewright.app.people import People
from mergewright.app.webhooks import WEBHOOK
from mergewright.domain.errors import MergewrightError
from mergewright.domain.session import Subject
from mergewright.domain.trigger import TriggerStore
from mergewright.server import problems
from mergewright.server.guard import Guard, Rules, TooLarge
from mergewright.server.hooks import Ours
from mergewright.server.signature import Secrets

if TYPE_CHECKING:
    from mergewright.app.sessions import Sessions
    from mergewright.review.world import ReviewWorld
    from mergewright.server.events import Feeds
    from mergewright.server.health import Operations
    from mergewright.store.reviews import SqlReviewStore


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes work with."""

    reviews: "SqlReviewStore"
    triggers: TriggerStore
    people: People
    world: "Callable[[Subject], ReviewWorld]"
    secrets: Secrets
    ours: Ours
    wake: Callable[[], None]
    """Tells the dispatcher that something waits."""
    sessions: "Sessions"
    feeds: "Feeds"
    """Bring the events of sessions to whoever watches."""
    admins: frozenset[str] = frozenset()
    """Usernames of those who may set the organisation's policy, beside the forge's administrators."""
    operations: "Operations | None" = None
    """What `/-/metrics` and `/-/readiness` look at; None where nobody looks after the server."""
    rules: Rules = field(default_factory=Rules)
    """What requests are held to."""


def make_app(services: Services, *, work: Callable[[], AbstractAsyncContextManager[None]] | None = None) -> FastAPI:
    """Make the server; `work` is what runs beside it for as long as it runs."""
    from mergewright.server import duo, sessions, signin
    from mergewright.server.access import Access
    from mergewright.server.deliveries import Deliveries
    from mergewright.server.description import describe
    from mergewright.server.health import health_routes
    from mergewright.server.pages import add_pages
    from mergewright.server.rest import routes

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if work is None:
            yield
            return
        async with work():
            yield

    app = FastAPI(
        title="mergewright",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.services = services
    app.add_exception_handler(MergewrightError, problems.tell)
    app.add_exception_handler(TooLarge, _too_large)

    @app.get("/health", include_in_schema=False)
    async def health() -> PlainTextResponse:
        return PlainTextResponse("ok")

    # A route without the framework's work on a request: deliveries come in bursts, and name no parameters.
    app.router.routes.append(Route(WEBHOOK, Deliveries(services), methods=["POST"]))
    app.include_router(routes(services), prefix="/api/v1")
    app.include_router(sessions.router, prefix="/api/v1")
    app.include_router(duo.router, prefix="/api/v4")
    add_pages(app)
    app.include_router(signin.router, include_in_schema=False)
    if services.operations is not None:
        app.include_router(health_routes(services.operations))
    describe(app)
    app.add_middleware(Guard, rules=services.rules)
    # The last that is added sees a request first and its answer last.
    app.add_middleware(Access, meters=services.operations.meters if services.operations else None)
    return app


async def _too_large(request: Request, error: Exception) -> Response:
    return problems.refusal(request, 413, str(getattr(error, "detail", "")))
