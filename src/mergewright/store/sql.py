"""The store over SQLAlchemy: sessions and their events in SQLite or PostgreSQL."""

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from mergewright.domain.errors import Conflict, NotFound
from mergewright.domain.session import JSON, Event, EventKind, Session, Status, Subject
from mergewright.store.claims import claim
from mergewright.store.database import alone, no_database, open_database
from mergewright.store.rows import (
    EVENTS,
    SESSIONS,
    encode_json,
    event_from,
    read_row,
    session_from,
    session_values,
    storable,
    unknown,
)

T = TypeVar("T")

_LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"
_one_id = threading.Lock()
_last_id = 0
NUMBERING = 760327
PATIENCE = 15.0
"""Seconds for which a database that is being restarted is waited for."""
AGAIN = 0.5
_ENDED = [status.value for status in Status if status.ended]


def new_id() -> str:
    """Make a short id whose order is the order of time: 12 letters that nobody can misread."""
    global _last_id
    with _one_id:
        # Counting on keeps the many ids of one millisecond apart.
        _last_id = number = max(int(time.time() * 1000) << 18 | secrets.randbits(18), _last_id + 1)
    return "".join(_LETTERS[number >> shift & 31] for shift in range(55, -1, -5))


def open_store(url: str | Path) -> "SqlStore":
    """Open the store at a path or a database URL, creating what is missing."""
    return SqlStore(open_database(url))


class SqlStore:
    """Sessions and their events in a database."""

    def __init__(self, database: sa.Engine) -> None:
        self.database = database
        self.watchers: list[Callable[[Event], None]] = []
        """Told of each event that this process has appended, once it is kept; they must neither wait nor fail."""
        # One thread keeps this process's writers from waiting for one another's lock, and the event loop free.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._closing = threading.Event()
        self._silent_since = 0.0

    async def close(self) -> None:
        """Finish what was begun and let go of the database."""
        self._closing.set()
        await asyncio.to_thread(self._thread.shutdown)
        self.database.dispose()

    async def create(
        self, session: Session, *, also: Callable[[sa.Connection, Session], None] | None = None
    ) -> Session:
        """Keep a new session, giving it an id where it has none; `also` writes in the same transaction."""
        now = time.time()
        session = replace(
            session,
            id=session.id or new_id(),
            goal=storable(session.goal),
            reason=storable(session.reason),
            created_at=session.created_at or now,
            updated_at=session.updated_at or now,
        )

        def insert(connection: sa.Connection) -> Session:
            alone(connection, NUMBERING)
            number = sa.select(sa.func.coalesce(sa.func.max(SESSIONS.c.number), 0) + 1).scalar_subquery()
            new = SESSIONS.insert().values(**session_values(session), number=number, last_seq=0)
            kept = replace(session, number=connection.execute(new.returning(SESSIONS.c.number)).scalar_one())
            if also is not None:
                also(connection, kept)
            return kept

        try:
            return await self.run(insert)
        except sa.exc.IntegrityError as error:
            raise await self._busy(session) from error

    async def session(self, session_id: str) -> Session:
        def read(connection: sa.Connection) -> Session:
            exact = connection.execute(SESSIONS.select().where(SESSIONS.c.id == session_id)).first()
            if exact is not None:
                return session_from(exact)
            wanted = SESSIONS.c.id.startswith(session_id.lower(), autoescape=True)
            rows = connection.execute(SESSIONS.select().where(wanted).limit(2)).all() if session_id else []
            if len(rows) != 1:
                problem = (
                    f"`{session_id}` begins more than one session's id"
                    if rows
                    else f"There is no session `{session_id}`"
                )
                raise NotFound(problem, hint="mergewright sessions list")
            return session_from(rows[0])

        return await self.run(read)

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
        query = SESSIONS.select().order_by(SESSIONS.c.created_at.desc(), SESSIONS.c.id.desc()).limit(limit)
        if active:
            query = query.where(SESSIONS.c.status.not_in(_ENDED))
        if projects is not None:
            query = query.where(SESSIONS.c.project.in_(projects))
        if subject is not None:
            query = query.where(SESSIONS.c.project == subject.project, SESSIONS.c.subject == str(subject))
        if status:
            query = query.where(SESSIONS.c.status.in_([one.value for one in status]))
        if before:
            last = sa.select(SESSIONS.c.created_at).where(SESSIONS.c.id == before).scalar_subquery()
            query = query.where(sa.tuple_(SESSIONS.c.created_at, SESSIONS.c.id) < sa.tuple_(last, before))
        for column, value in ((SESSIONS.c.flow, flow), (SESSIONS.c.actor, actor)):
            if value:
                query = query.where(column == value)
        return await self.run(lambda connection: [session_from(row) for row in connection.execute(query)])

    async def update(self, session_id: str, *, status: Status, reason: str = "", turn: int | None = None) -> Session:
        reason = storable(reason or (status.value if status.ended else ""))
        now = time.time()

        def move(connection: sa.Connection) -> tuple[Session, Event]:
            # The update comes before any look: it takes the lock under which the event's number is given out.
            changes = (
                SESSIONS.update()
                .where(SESSIONS.c.id == session_id, _may_move(turn))
                .values(status=status.value, reason=reason, updated_at=now, last_seq=SESSIONS.c.last_seq + 1)
            )
            if turn is not None:
                changes = changes.values(turn=turn)
            row = connection.execute(changes.returning(*SESSIONS.c)).first()
            if row is None:
                raise _refusal(connection, session_id, turn)
            told = {"status": status.value, "reason": reason}
            values = {"session": session_id, "seq": row.last_seq, "at": now, "turn": row.turn}
            kept = EVENTS.insert().values(**values, kind=EventKind.STATUS.value, component="", data=encode_json(told))
            connection.execute(kept)
            return session_from(row), Event(session_id, row.last_seq, now, row.turn, EventKind.STATUS, "", told)

        try:
            session, event = await self.run(move)
        except sa.exc.IntegrityError as error:
            raise await self._busy(await self.session(session_id)) from error
        self._tell(event)
        return session

    async def append(
        self, session_id: str, kind: EventKind, data: Mapping[str, JSON], *, turn: int, component: str = ""
    ) -> Event:
        event = Event(session_id, 0, time.time(), turn, kind, component, data)
        text = encode_json(data)

        def insert(connection: sa.Connection) -> Event:
            counted = (
                SESSIONS.update().where(SESSIONS.c.id == session_id).values(last_seq=SESSIONS.c.last_seq + 1)
            ).returning(SESSIONS.c.last_seq)
            seq = connection.execute(counted).scalar()
            if seq is None:
                raise unknown(session_id)
            values = {"session": session_id, "seq": seq, "at": event.at, "turn": turn, "data": text}
            connection.execute(EVENTS.insert().values(**values, kind=kind.value, component=component))
            return replace(event, seq=seq)

        kept = await self.run(insert)
        self._tell(kept)
        return kept

    async def answer(
        self,
        session: Session,
        data: Mapping[str, JSON],
        *,
        also: Callable[[sa.Connection, Session], None] | None = None,
    ) -> Event:
        """Append a person's APPROVAL while the session waits as it was seen; `also` writes in the same transaction.

        Raises Conflict when it does not wait any more, or somebody has answered already.
        """
        event = Event(session.id, 0, time.time(), session.turn, EventKind.APPROVAL, "", data)
        given = sa.and_(EVENTS.c.session == session.id, EVENTS.c.turn == session.turn)
        counted = (
            SESSIONS.update()
            .where(SESSIONS.c.id == session.id, SESSIONS.c.turn == session.turn)
            .where(SESSIONS.c.status == session.status.value)
            .values(last_seq=SESSIONS.c.last_seq + 1)
            .returning(SESSIONS.c.last_seq)
        )

        def insert(connection: sa.Connection) -> Event:
            # The update comes before the look: who answers at the same moment waits for it.
            seq = connection.execute(counted).scalar()
            answered = EVENTS.select().where(given, EVENTS.c.kind == EventKind.APPROVAL.value)
            if seq is None or connection.execute(answered).first() is not None:
                raise Conflict(
                    f"session `{session.id}` was answered already", hint=f"mergewright sessions show {session.id}"
                )
            values = {"session": session.id, "seq": seq, "at": event.at, "turn": event.turn, "data": encode_json(data)}
            connection.execute(EVENTS.insert().values(**values, kind=event.kind.value, component=""))
            if also is not None:
                also(connection, session)
            return replace(event, seq=seq)

        kept = await self.run(insert)
        self._tell(kept)
        return kept

    async def find(self, name: str) -> Session:
        """Give the session with this whole id or this number; raises NotFound."""
        number = int(name) if name.isascii() and name.isdigit() and len(name) < 12 else 0
        wanted = SESSIONS.c.number == number if number else SESSIONS.c.id == name

        def read(connection: sa.Connection) -> Session:
            row = connection.execute(SESSIONS.select().where(wanted)).first()
            if row is None:
                raise unknown(name)
            return session_from(row)

        return await self.run(read)

    async def projects(self, *, actor: str = "") -> Sequence[str]:
        """Give the projects that have sessions, of all people or of one; the one with the newest session first."""
        newest = sa.func.max(SESSIONS.c.number)
        query = sa.select(SESSIONS.c.project).group_by(SESSIONS.c.project).order_by(newest.desc())
        if actor:
            query = query.where(SESSIONS.c.actor == actor)
        return await self.run(lambda connection: list(connection.execute(query).scalars()))

    async def last_seq(self, session_id: str) -> int:
        """Give the number of a session's newest event; 0 while it has none."""
        query = sa.select(SESSIONS.c.last_seq).where(SESSIONS.c.id == session_id)
        return await self.run(lambda connection: connection.execute(query).scalar() or 0)

    def _tell(self, event: Event) -> None:
        for watcher in self.watchers:
            watcher(event)

    async def events(
        self, session_id: str, *, after: int = 0, kinds: Sequence[EventKind] = (), component: str | None = None
    ) -> Sequence[Event]:
        query = EVENTS.select().where(EVENTS.c.session == session_id, EVENTS.c.seq > after).order_by(EVENTS.c.seq)
        if kinds:
            query = query.where(EVENTS.c.kind.in_([kind.value for kind in kinds]))
        if component is not None:
            query = query.where(EVENTS.c.component == component)
        return await self.run(lambda connection: [event_from(row) for row in connection.execute(query)])

    def claim(self, session_id: str) -> AbstractAsyncContextManager[None]:
        """Hold a session for the one caller, also against others in this process."""
        return claim(self.run, session_id)

    async def run(self, work: Callable[[sa.Connection], T]) -> T:
        """Do the work in one transaction, away from the event loop, and anew where a restart of the database undid it.

        Raises NoDatabase once that has gone on for PATIENCE seconds, or where nobody knows whether it was done.
        """

        def transaction() -> T:
            while True:
                ending = False
                try:
                    with self.database.connect() as connection:
                        done = work(connection)
                        ending = True
                        connection.commit()
                        self._silent_since = 0.0
                        return done
                except sa.exc.DBAPIError as error:
                    failed = no_database(self.database, error)
                    if failed is None:
                        raise
                    # A file does not come back, and what was lost in its commit may have been kept.
                    lost = not ending and self.database.dialect.name != "sqlite"
                    # Counted from the first that failed: those behind it have waited long enough by then.
                    self._silent_since = self._silent_since or time.monotonic()
                    late = time.monotonic() > self._silent_since + PATIENCE
                    if not lost or late or self._closing.wait(AGAIN):
                        raise failed from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)

    async def _busy(self, session: Session) -> Conflict:
        """Say which session stands in the way of this one."""
        active = await self.run(lambda connection: _active_beside(connection, session))
        if active is None:
            return Conflict(
                f"There is a session `{session.id}` already", hint=f"mergewright sessions show {session.id}"
            )
        message = f"A `{session.flow}` session already works on `{session.subject}`"
        return Conflict(message, hint=f"mergewright sessions show {active}")


def _may_move(turn: int | None) -> sa.ColumnElement[bool]:
    """A session that has ended moves on with a new turn only, and no turn comes back."""
    alive = SESSIONS.c.status.not_in(_ENDED)
    return alive if turn is None else sa.or_(SESSIONS.c.turn < turn, sa.and_(SESSIONS.c.turn == turn, alive))


def _refusal(connection: sa.Connection, session_id: str, turn: int | None) -> Conflict:
    session = session_from(read_row(connection, session_id))
    if turn is not None and turn < session.turn:
        return Conflict(f"Session `{session_id}` is in turn {session.turn} already, not in turn {turn}")
    return Conflict(
        f"Session `{session_id}` has ended: {session.reason}", hint=f"mergewright sessions show {session_id}"
    )


def _active_beside(connection: sa.Connection, session: Session) -> str | None:
    query = sa.select(SESSIONS.c.id).where(
        SESSIONS.c.flow == session.flow,
        SESSIONS.c.subject == str(session.subject),
        SESSIONS.c.id != session.id,
        SESSIONS.c.status.not_in(_ENDED),
    )
    return connection.execute(query).scalar()
