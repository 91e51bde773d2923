"""A store that forgets: sessions and events in lists, kept as JSON text as a database would."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

from mergewright.domain.errors import Conflict, NotFound
from mergewright.domain.session import JSON, Event, EventKind, Session, Status, Subject


class Killed(BaseException):
    """The process died here: nothing in the product may catch it."""


class MemoryStore:
    """The Store protocol in memory; `dies_after` events, the next append is as a `kill -9`."""

    def __init__(self) -> None:
        self.kept: dict[str, Session] = {}
        self.log: list[tuple[Event, str]] = []
        self.dies_after: int | None = None
        self.reads = 0
        """How often the log was asked for."""
        self.claimed: set[str] = set()

    async def create(self, session: Session) -> Session:
        for other in self.kept.values():
            if (other.flow, other.subject) == (session.flow, session.subject) and not other.status.ended:
                raise Conflict(f"A `{session.flow}` session already works on `{session.subject}`")
        self.kept[session.id] = session
        return session

    async def session(self, session_id: str) -> Session:
        if session_id not in self.kept:
            raise NotFound(f"There is no session `{session_id}`")
        return self.kept[session_id]

    async def sessions(
        self,
        *,
        active: bool = False,
        projects: Sequence[str] | None = None,
        subject: Subject | None = None,
        status: Sequence[Status] = (),
        flow: str = "",
        actor: str = "",
        before: str = "",
        limit: int = 100,
    ) -> Sequence[Session]:
        found = [
            s
            for s in reversed(self.kept.values())
            if not (active and s.status.ended)
            and (projects is None or s.subject.project in projects)
            and subject in {None, s.subject}
            and (not status or s.status in status)
            and flow in {"", s.flow}
            and actor in {"", s.actor}
            and (not before or s.id < before)
        ]
        return found[:limit]

    async def update(self, session_id: str, *, status: Status, reason: str = "", turn: int | None = None) -> Session:
        session = self.kept[session_id]
        if session.status.ended and turn is None:
            raise Conflict(f"The session has ended as `{session.status}`")
        new = replace(session, status=status, reason=reason, turn=session.turn if turn is None else turn)
        self.kept[session_id] = new
        await self.append(session_id, EventKind.STATUS, {"status": status.value, "reason": reason}, turn=new.turn)
        return new

    async def append(
        self, session_id: str, kind: EventKind, data: Mapping[str, JSON], *, turn: int, component: str = ""
    ) -> Event:
        if self.dies_after is not None and len(self.log) >= self.dies_after:
            raise Killed
        event = Event(session_id, len(self.log) + 1, 0.0, turn, kind, component, data)
        self.log.append((event, json.dumps(data)))
        return event

    async def events(
        self, session_id: str, *, after: int = 0, kinds: Sequence[EventKind] = (), component: str | None = None
    ) -> Sequence[Event]:
        self.reads += 1
        return [
            replace(event, data=json.loads(text))
            for event, text in self.log
            if event.session == session_id
            and event.seq > after
            and (not kinds or event.kind in kinds)
            and (component is None or event.component == component)
        ]

    def claim(self, session_id: str) -> AbstractAsyncContextManager[None]:
        return self._claim(session_id)

    @asynccontextmanager
    async def _claim(self, session_id: str) -> AsyncIterator[None]:
        if session_id in self.claimed:
            raise Conflict("Another process holds the session")
        self.claimed.add(session_id)
        try:
            yield
        finally:
            self.claimed.discard(session_id)
