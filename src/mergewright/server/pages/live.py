"""What is sent to an open session page: the parts of it that are new, as server-sent events."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from mergewright.domain.session import Session
from mergewright.server.events import PING, Feeds
from mergewright.server.pages.base import part
from mergewright.server.pages.sessions import VALUES
from mergewright.server.pages.story import SUMMED, Story, summed
from mergewright.store.sql import SqlStore


async def follow(
    feeds: Feeds,
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
    await _catch_up(store, session_id, story, first=first, after=after)
    yield b"retry: 1000\n\n"
    heard = time.monotonic()
    async with aclosing(feeds.batches(session_id, after=after)) as batches:
        async for batch in batches:
            if isinstance(batch, Session):
                yield format_sse_event(data_str=batch.status.value, event="end")
                return
            if closing():
                return
            if news := story.advance(batch):
                session = await store.session(session_id)
                values = {**VALUES, "news": news, "story": story, "session": session, "csrf": csrf, "now": time.time()}
                text = part("session_news.html", **values)
                yield format_sse_event(data_str=text.strip(), event="news", id=str(story.last))
            elif time.monotonic() - heard > PING:
                yield KEEPALIVE_COMMENT
            else:
                continue
            heard = time.monotonic()


async def _catch_up(store: SqlStore, session_id: str, story: Story, *, first: int, after: int) -> None:
    """Tell the page's own story again up to where the page stands, so that the rest is put where it belongs."""
    story.advance(one for one in await store.events(session_id, after=first) if one.seq <= after)
    # What the plan and the costs come to began before the part that the page shows.
    known = await store.events(session_id, kinds=SUMMED)
    story.plan, story.usage = summed([one for one in known if one.seq <= after])
