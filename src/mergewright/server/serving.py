"""One process that hears of GitLab's events, answers REST, and does the work: for a laptop or a small team."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from mergewright.app.connect import forge_url
from mergewright.app.reviewing import NO_MODEL, open_reviews
from mergewright.app.settings import Settings
from mergewright.app.webhooks import webhook_token
from mergewright.domain.errors import MergewrightError, WrongUse
from mergewright.domain.forge import Forge

if TYPE_CHECKING:
    from fastapi import FastAPI

PATIENCE = 20.0
"""Seconds for the server to come up or to end."""


class Server:
    """The server in a thread of its own; its socket takes connections from the beginning."""

    def __init__(self, settings: Settings, *, port: int, worker: bool = True) -> None:
        self._settings = settings if settings.model else replace(settings, model=NO_MODEL)
        self._worker = worker
        self._socket = _listen(settings.listen, port)
        self.url = _url(settings.listen, self._socket.getsockname()[1])
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failed: BaseException | None = None

    def start(self) -> None:
        """Begin; requests wait until it is up."""
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Come back once it answers; raises what kept it from coming up."""
        if not self._ready.wait(PATIENCE * 3) or self._failed is not None:
            raise self._failed or MergewrightError("the server did not come up")

    def stop(self) -> None:
        """End it; what waits is done at the next start."""
        if self._thread is None:
            self._socket.close()
            return
        if self._ready.is_set() and self._loop is not None and self._end is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join(PATIENCE)
        # One that is still loading has begun nothing; it ends with the process.
        self._thread = None

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except MergewrightError as error:
            self._failed = error
        except BaseException as error:
            # Whoever waits must not take this for a server that is up.
            self._failed = error
            raise
        finally:
            # One that never came up has handed it to nobody who would close it.
            self._socket.close()
            self._ready.set()

    async def _serve(self) -> None:
        import uvicorn

        from mergewright.server.connections import Connection

        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        async with opened(self._settings, worker=self._worker, url=self.url) as app:
            config = uvicorn.Config(
                app, log_config=None, access_log=False, server_header=False, lifespan="off", loop="asyncio",
                http=Connection, ws="none", timeout_graceful_shutdown=2,
                # Whose word for an address counts is ours to decide.
                proxy_headers=False,
            )  # fmt: skip
            server = uvicorn.Server(config)
            serving = asyncio.ensure_future(server.serve(sockets=[self._socket]))
            # The socket listens already: who asks now waits for the little that is left.
            self._ready.set()
            await asyncio.wait({serving, asyncio.ensure_future(self._end.wait())}, return_when="FIRST_COMPLETED")
            # Pages that stand open let go, or each would hold the end up.
            app.state.closing = True
            server.should_exit = True
            await serving


@asynccontextmanager
async def opened(settings: Settings, *, worker: bool, url: str = "") -> "AsyncIterator[FastAPI]":
    """Give the application over this installation's store and forge, with the work beside it.

    `url` is where this machine reaches it; people come by the public address where one is set.
    """
    from mergewright.app.adapters import Sandboxes
    from mergewright.app.logins import Logins, application_of
    from mergewright.app.meters import Meters
    from mergewright.app.people import People
    from mergewright.app.rates import Rate
    from mergewright.app.sessions import Sessions
    from mergewright.app.working import open_workshop, working
    from mergewright.domain.session import Session, Subject
    from mergewright.review.world import ReviewWorld
    from mergewright.server.app import Services, make_app
    from mergewright.server.events import Feeds
    from mergewright.server.guard import Rules
    from mergewright.server.health import Operations
    from mergewright.server.hooks import Ours
    from mergewright.server.signature import Secrets
    from mergewright.store.census import Counting
    from mergewright.store.logins import SqlLogins

    async with AsyncExitStack() as stack:
        shop = await stack.enter_async_context(open_workshop(settings))
        store, forge, reviewer, wake = shop.store, shop.forge, shop.reviewer, shop.dispatcher.wake
        ours = Ours((await forge.status()).user.username, (await shop.bot.status()).user.username, settings.label)
        operations = Operations(
            store,
            forge,
            Meters(),
            Counting(store),
            Sandboxes(settings).check if worker else None,
            settings.metrics_token,
            public=bool(settings.url),
        )
        for one in (forge, shop.bot):
            one.watchers.append(operations.meters.forge_call)
        for runtime in (shop.reviewer, shop.developer):
            if runtime is not None:
                runtime.works = worker
        if worker:
            await stack.enter_async_context(working(shop))

        def world(subject: Subject) -> ReviewWorld:
            if reviewer.review_world is None:
                raise MergewrightError("this process has no reviewer")
            return reviewer.review_world(Session("", "code_review", subject, "", "", settings.model))

        public = settings.url or url
        logins = Logins(SqlLogins(store, settings.home / "logins.key"), public, lambda: application_of(settings))
        people = People(_opener(settings), forge, logins, Rate(settings.rate, 10.0))
        yield make_app(
            Services(
                open_reviews(settings, store),
                shop.triggers,
                people,
                world,
                Secrets(webhook_token(settings), settings.webhook_signing_key),
                ours,
                wake,
                Sessions(store, people, reviewer, shop.developer, _scopes(settings), wake),
                Feeds(store),
                admins=settings.admins,
                operations=operations,
                rules=Rules.read(
                    url=public, hosts=settings.hosts, proxies=settings.trusted_proxies, rate=settings.rate
                ),
            )
        )


def _scopes(settings: Settings) -> Callable[[str], Awaitable[Sequence[str]]]:
    """Give what asks the forge for the scopes of a person's token."""
    from mergewright.gitlab.forge import GitLabForge

    url = forge_url(settings)

    async def scopes(token: str) -> Sequence[str]:
        forge = GitLabForge(url, token, allow_http=settings.allow_http, retries=1, patience=10.0)
        try:
            return await forge.scopes()
        finally:
            forge.close()

    return scopes


def _opener(settings: Settings) -> Callable[[str], AbstractContextManager[Forge]]:
    """Give what opens the forge with a person's own token."""
    from mergewright.gitlab.reviewing import GitLabReviewForge

    url = forge_url(settings)

    @contextmanager
    def open_forge(token: str) -> Iterator[Forge]:
        forge = GitLabReviewForge(url, token, brief=True, allow_http=settings.allow_http, retries=1, patience=10.0)
        try:
            yield forge
        finally:
            forge.close()

    return open_forge


def _url(host: str, port: int) -> str:
    """Give the address under which this machine itself reaches the server."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{reached}:{port}"


def _listen(host: str, port: int) -> socket.socket:
    # The protocol must be named: asyncio sends small answers without delay only where it is.
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if host != "127.0.0.1":
            raise WrongUse(
                f"port {port} of `{host}` cannot be used: {error.strerror or error}",
                hint="MERGEWRIGHT_LISTEN takes an address of this machine",
            ) from error
        raise WrongUse(f"port {port} cannot be used: {error.strerror}", hint="choose another one, or 0") from error
    listener.listen(512)
    return listener
