"""The events of sessions as they come, as server-sent events: one look at the store serves all who watch a session."""

import asyncio
import json
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from mergewright.domain.errors import MergewrightError, TooMany
from mergewright.domain.session import JSON, Event, Session
from mergewright.store.sql import SqlStore

LOOK = 0.3
"""Seconds between two looks at a session that somebody watches."""
PING = 15.0
"""Seconds after which a silent connection is shown to be alive."""
STILL = 5.0
"""Seconds after which the next piece is sent only to somebody who is still signed in and sees the session."""
LONGEST = 600.0
"""Seconds for one connection: no slip can keep it open for longer."""
MOST = 100
"""Connections on which one person may watch at a time."""
SLOWEST = 2_000
"""Events that one who watches may be behind before the connection ends; it goes on where it was."""
log = logging.getLogger("mergewright.server")


@dataclass(slots=True)
class _Watched:
    """A session that somebody watches."""

    news: dict[int, "asyncio.Queue[Event]"] = field(default_factory=dict)
    """A queue for each who watches, by a number of theirs."""
    looking: "asyncio.Task[None] | None" = None
    session: Session | None = None
    """As it stood when all its events had been passed on."""


class Feeds:
    """Brings the events of sessions to whoever watches them, whichever process they come from."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._watched: dict[str, _Watched] = {}
        self._count = 0
        self._watching: Counter[int] = Counter()
        self.looks = 0
        """How often the store was looked at for those who watch."""

    def held(
        self, who: int, stream: AsyncIterator[bytes], *, still: Callable[[], Awaitable[object]]
    ) -> AsyncIterator[bytes]:
        """Give a stream as one of a person's, until `still` raises as they may not watch any more.

        Raises TooMany where they watch on too many connections already.
        """
        if self._watching[who] >= MOST:
            raise TooMany("you watch on too many connections at a time", hint="close some of their pages")
        return self._counted(who, stream, still)

    async def _counted(
        self, who: int, stream: AsyncIterator[bytes], still: Callable[[], Awaitable[object]]
    ) -> AsyncGenerator[bytes]:
        self._watching[who] += 1
        asked = time.monotonic()
        try:
            async for piece in stream:
                if time.monotonic() - asked > STILL:
                    await still()
                    asked = time.monotonic()
                yield piece
        except MergewrightError as error:
            # What was sent cannot be taken back for a refusal; a page that may still watch connects again.
            log.info("somebody who watches is sent away: %s", error.message)
        finally:
            self._watching[who] -= 1
            if not self._watching[who]:
                del self._watching[who]
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    async def stream(self, session_id: str, *, after: int) -> AsyncIterator[bytes]:
        """Send each event past a number, and `end` once the session has ended."""
        heard = time.monotonic()
        yield b"retry: 1000\n\n"
        async with aclosing(self.batches(session_id, after=after)) as batches:
            async for batch in batches:
                if isinstance(batch, Session):
                    told = json.dumps({"status": batch.status.value, "reason": batch.reason})
                    yield format_sse_event(data_str=told, event="end")
                    return
                for event in batch:
                    yield as_sse(event)
                if batch or time.monotonic() - heard > PING:
                    heard = time.monotonic()
                    if not batch:
                        yield KEEPALIVE_COMMENT

    async def batches(self, session_id: str, *, after: int) -> AsyncGenerator[Sequence[Event] | Session]:
        """Give the events past a number as they come, an empty batch now and then, and the session once it has ended.

        It breaks off after a while, so that whoever watches is asked anew who they are.
        """
        began = time.monotonic()
        watched = self._watched.setdefault(session_id, _Watched())
        self._count += 1
        me, queue = self._count, asyncio.Queue[Event](SLOWEST)
        watched.news[me] = queue
        try:
            if watched.looking is None:
                last = await self._store.last_seq(session_id)
                if watched.looking is None:
                    watched.looking = asyncio.ensure_future(self._look(session_id, watched, last))
            # What the queue holds as well by then is left out below.
            if batch := await self._store.events(session_id, after=after):
                after = batch[-1].seq
            yield batch
            while time.monotonic() - began < LONGEST and me in watched.news:
                try:
                    async with asyncio.timeout(LOOK):
                        found = [await queue.get()]
                except TimeoutError:
                    session = watched.session
                    if session is not None and session.status.ended and queue.empty():
                        yield session
                        return
                    if watched.looking is not None and watched.looking.done():
                        # It only ends while somebody watches where the store fails.
                        watched.looking.result()
                    yield ()
                    continue
                while not queue.empty():
                    found.append(queue.get_nowait())
                if batch := [event for event in found if event.seq > after]:
                    after = batch[-1].seq
                    yield batch
        finally:
            watched.news.pop(me, None)
            if not watched.news:
                if self._watched.get(session_id) is watched:
                    del self._watched[session_id]
                if watched.looking is not None:
                    watched.looking.cancel()

    async def _look(self, session_id: str, watched: _Watched, last: int) -> None:
        """Pass on what is new for as long as somebody watches."""
        while watched.news:
            self.looks += 1
            # The session first: what it ended with is then among the events.
            session = await self._store.session(session_id)
            for event in await self._store.events(session_id, after=last):
                last = event.seq
                for me, queue in list(watched.news.items()):
                    if queue.full():
                        del watched.news[me]
                    else:
                        queue.put_nowait(event)
            watched.session = session
            await asyncio.sleep(LOOK)


def event_json(event: Event) -> dict[str, JSON]:
    """Give an event as the API and the trace write it."""
    return {
        "seq": event.seq,
        "at": event.at,
        "turn": event.turn,
        "kind": event.kind.value,
        "component": event.component,
        "data": dict(event.data),
    }


def as_sse(event: Event) -> bytes:
    """Give an event as one message; its number lets a lost connection go on."""
    return format_sse_event(data_str=json.dumps(event_json(event)), id=str(event.seq))
