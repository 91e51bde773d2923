"""What triggers are carried out with, over a real store and a real local forge; no flow runs."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mergewright.app.carry import Hands, begin
from mergewright.app.connect import LocalConnection, connection_file
from mergewright.app.settings import Settings, read_settings
from mergewright.app.working import Workshop, open_workshop
from mergewright.domain.session import EventKind, Session, Status
from mergewright.domain.trigger import Trigger
from tests.journeys.place import recorded
from tests.review.stage import PROJECT, Stage, open_stage


class Errand:
    """The hands of a worker, and the forge that they work on."""

    def __init__(self, stage: Stage, settings: Settings, shop: Workshop) -> None:
        self.stage = stage
        self.settings = settings
        self.shop = shop
        self.hands = Hands(shop.reviewer, shop.developer, shop.triggers, shop.bot)

    async def asked(self, trigger: Trigger) -> Trigger:
        """Keep a trigger; gives it as it waits."""
        await self.shop.triggers.deliver("", [trigger])
        (kept,) = [one for one in await self.shop.triggers.waiting() if one.key == trigger.key]
        return kept

    async def begun(self, trigger: Trigger) -> Session | None:
        """Begin what a trigger asks for, as the dispatcher does."""
        kept = await self.asked(trigger)
        begun = await begin(self.hands, kept)
        await self.shop.triggers.done(kept if begun is None else begun)
        return None if begun is None else await self.shop.store.session(begun.session)

    async def kept(self) -> Sequence[Trigger]:
        return await self.shop.triggers.waiting()

    async def has(self, session: Session, status: Status) -> None:
        await self.shop.store.update(session.id, status=status, reason="for the test")

    async def tell(self, session: Session, kind: EventKind, data: Mapping[str, Any]) -> None:
        await self.shop.store.append(session.id, kind, data, turn=1, component="it:1")

    async def issue(self) -> str:
        made = await asyncio.to_thread(self.stage.api, "POST", "/issues", title="Do it")
        return f"{PROJECT}#{made['iid']}"

    def notes(self, path: str) -> list[str]:
        found = self.stage.api("GET", f"{path}/notes?sort=asc&per_page=100")
        return [one["body"] for one in found if not one["system"]]


@asynccontextmanager
async def errand(folder: Path) -> AsyncIterator[Errand]:
    """Open a forge with a project, and a worker's hands on it whose model is never asked."""
    stage = await asyncio.to_thread(open_stage, folder / "stage")
    variables = {"MERGEWRIGHT_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"}
    settings = replace(read_settings(variables), model=f"recorded:{recorded('goal-shout')}")
    settings.make_home()
    tokens, bot, reviewer = stage.tokens, "developer-bot", "reviewer"
    LocalConnection(stage.served.url, "ann", tokens["ann"], bot, tokens[bot], reviewer, tokens[reviewer]).write(
        connection_file(settings)
    )
    try:
        async with open_workshop(settings) as shop:
            yield Errand(stage, settings, shop)
    finally:
        await stage.close()
