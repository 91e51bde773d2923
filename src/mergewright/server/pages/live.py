"""What is sent to an open session page: the parts of it that are new, as server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from mergewright.domain.session import EventKind, Plan
from mergewright.server.pages.base import part
from mergewright.server.pages.sessions import VALUES
from mergewright.server.pages.story import Story, spent
from mergewright.store.sql import SqlStore

LOOK = 0.4
"""Seconds between two looks at the log."""
PING = 15.0
"""Seconds after which a silent connection is shown to be alive."""
LONGEST = 600.0
"""Seconds for one connection: whether the person may still see the session is asked anew after that."""


async def follow(
    store: SqlStore,
    session_id: str,
    *,
    story: Story,
    first: int,
    after: int,
    csrf: str,
    closing: Callable[[], bool],
) -> AsyncIterator[bytes]:
    """Send what comes after an event to a page that begins behind `first`, until the session or the server ends."""
    began = heard = time.monotonic()
    # The page's own story is told again up to where the page stands, so that the rest is put where it belongs.
    known = await store.events(session_id, after=first)
    story.advance(one for one in known if one.seq <= after)
    plans = [one for one in await store.events(session_id, kinds=(EventKind.PLAN,)) if one.seq <= after]
    story.plan = Plan.decode(plans[-1].data["tasks"]) if plans else Plan()
    story.usage = spent([one for one in await store.events(session_id, kinds=(EventKind.USAGE,)) if one.seq <= after])
    yield b"retry: 1000\n\n"
    fresh = [one for one in known if one.seq > after]
    while time.monotonic() - began < LONGEST and not closing():
        session = await store.session(session_id)
        fresh = fresh or list(await store.events(session_id, after=story.last or after))
        if fresh and (news := story.advance(fresh)):
            text = part(
                "session_news.html", **VALUES, news=news, story=story, session=session, csrf=csrf, now=time.time()
            )
            yield format_sse_event(data_str=text.strip(), event="news", id=str(story.last))
            heard = time.monotonic()
        elif session.status.ended and not fresh:
            yield format_sse_event(data_str=session.status.value, event="end")
            return
        elif time.monotonic() - heard > PING:
            yield KEEPALIVE_COMMENT
            heard = time.monotonic()
        if not fresh:
            await asyncio.sleep(LOOK)
        fresh = []
