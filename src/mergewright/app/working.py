"""A worker: what takes up all that is asked for, beside the server or in a process of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mergewright.app.connect import connect
from mergewright.app.reviewing import NO_MODEL
from mergewright.app.settings import Settings

if TYPE_CHECKING:
    from mergewright.app.dispatch import Dispatcher
    from mergewright.app.runtime import Runtime
    from mergewright.gitlab.reviewing import GitLabReviewForge
    from mergewright.store.sql import SqlStore
    from mergewright.store.triggers import SqlTriggerStore


@dataclass(frozen=True, slots=True)
class Workshop:
    """An installation's store, its two accounts on the forge, and what works for them."""

    store: "SqlStore"
    triggers: "SqlTriggerStore"
    forge: "GitLabReviewForge"
    """As the reviewer sees it."""
    bot: "GitLabReviewForge"
    """As the developer sees it."""
    reviewer: "Runtime"
    developer: "Runtime | None"
    """None where no model is set, so that nobody can develop."""
    dispatcher: "Dispatcher"


@asynccontextmanager
async def open_workshop(settings: Settings) -> "AsyncIterator[Workshop]":
    """Open all that work needs; what runs at the end is left for the next worker."""
    from mergewright.app.carry import Hands
    from mergewright.app.dispatch import Dispatcher
    from mergewright.app.rights import may_go_on
    from mergewright.app.runtime import runtime_on
    from mergewright.store.sql import open_store
    from mergewright.store.triggers import SqlTriggerStore

    settings = settings if settings.model else replace(settings, model=NO_MODEL)
    settings.make_home()
    async with AsyncExitStack() as stack:
        forge, bot = connect(settings, role="reviewer"), connect(settings)
        stack.callback(forge.close)
        stack.callback(bot.close)
        store = open_store(settings.database)
        stack.push_async_callback(store.close)
        reviewer = await stack.enter_async_context(
            runtime_on(settings, store, forge, role="reviewer", may_go_on=may_go_on(forge))
        )
        developer = None
        if settings.model != NO_MODEL:
            developer = await stack.enter_async_context(runtime_on(settings, store, bot, may_go_on=may_go_on(bot)))
        triggers = SqlTriggerStore(store)
        dispatcher = Dispatcher(Hands(reviewer, developer, triggers, bot), side_by_side=settings.side_by_side)
        yield Workshop(store, triggers, forge, bot, reviewer, developer, dispatcher)


@asynccontextmanager
async def working(shop: Workshop) -> AsyncIterator[None]:
    """Take up what waits for as long as the body runs."""
    from mergewright.store.workers import counted

    async with counted(shop.store):
        task = asyncio.ensure_future(shop.dispatcher.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
