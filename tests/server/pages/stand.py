"""The session pages on a real server over a real store; only who asks, and what a session is told to do, is played."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from mergewright.app.people import Person
from mergewright.domain.errors import Conflict, MergewrightError, NotFound
from mergewright.domain.forge import User
from mergewright.domain.session import Session, Status, Subject
from mergewright.server.events import Feeds
from mergewright.server.guard import Rules
from mergewright.server.pages import add_pages
from mergewright.store.sql import SqlStore

ANN = Person(User(1, "ann", "Ann"), "t" * 20, "the-csrf-of-ann")


@dataclass
class Played:
    """Sessions as pages use them, over a store; what a person asks for is kept to be looked at."""

    store: SqlStore
    hidden: set[str] = field(default_factory=set)
    """Projects that the person may not read."""
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    fault: MergewrightError | None = None
    """What every look at a session ends with."""

    async def listed(self, _: Person, *, project: str = "", mine: bool = False, **rest: Any) -> Sequence[Session]:
        found = await self.store.sessions(projects=[project] if project else None, actor="ann" if mine else "", **rest)
        return [one for one in found if one.subject.project not in self.hidden]

    async def one(self, _: Person, session_id: str) -> Session:
        if self.fault is not None:
            raise self.fault
        session = await self.store.session(session_id)
        if session.subject.project in self.hidden:
            raise NotFound(f"there is no session `{session_id}`")
        return session

    async def begin(self, _: Person, flow: str, subject: Subject, **rest: Any) -> Session:
        self.asked.append(("begin", flow, str(subject), rest))
        return await self.store.create(Session("", flow, subject, rest["goal"], "ann", "test:model"))

    async def start(self, _: Person, session_id: str) -> None:
        self.asked.append(("start", session_id))

    async def restart(self, person: Person, session_id: str) -> Session:
        old = await self.one(person, session_id)
        return await self.store.create(Session("", old.flow, old.subject, old.goal, "ann", old.model))

    async def cancel(self, _: Person, session_id: str, *, reason: str = "") -> None:
        self.asked.append(("cancel", session_id, reason))
        await self.store.update(session_id, status=Status.STOPPED, reason=reason or "cancelled")

    async def approve(self, person: Person, session_id: str) -> None:
        if not (await self.one(person, session_id)).status.waiting:
            raise Conflict("the session does not wait for an approval", hint="look at its status")
        self.asked.append(("approve", session_id))

    async def reject(self, _: Person, session_id: str, reason: str) -> None:
        self.asked.append(("reject", session_id, reason))

    async def change_plan(self, _: Person, session_id: str, tasks: Sequence[str]) -> None:
        self.asked.append(("plan", session_id, list(tasks)))

    async def message(self, _: Person, session_id: str, text: str) -> None:
        self.asked.append(("message", session_id, text))


class _People:
    async def who(self, *_: object) -> Person:
        return ANN

    async def of(self, _: Request) -> Person:
        return ANN


def app_over(played: Played) -> FastAPI:
    """Give an application with the pages alone."""
    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.services = SimpleNamespace(sessions=played, feeds=Feeds(played.store), people=_People(), rules=Rules())
    add_pages(app)
    return app


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application on loopback; gives its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        # Whoever asks before the server is up waits.
        listener.listen(128)
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            app.state.closing = True
            server.should_exit = True
            thread.join(10)
