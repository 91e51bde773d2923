"""The steps of one running turn: checkpoints in the database."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from mergewright.domain.errors import MergewrightError
from mergewright.domain.session import JSON
from mergewright.engine.failures import decode, encode, stored

if TYPE_CHECKING:
    from dbos import DBOS


class DbosSteps:
    """Runs each step of a turn once and keeps its value or its error."""

    def __init__(self, dbos: "type[DBOS]") -> None:
        self._dbos = dbos
        self.ended: BaseException | None = None
        """Why the turn may not go on, once DBOS has said so: cancelled or taken over by another process."""

    async def step(self, name: str, run: Callable[[], Awaitable[JSON]]) -> JSON:
        from dbos import PortableWorkflowError
        from dbos import error as errors

        raised: list[MergewrightError] = []

        async def recorded() -> str:
            # As text in plain ASCII: what a tool prints may hold characters that no database takes.
            try:
                return json.dumps({"value": await run()})
            except MergewrightError as error:
                raised.append(error)
                return json.dumps(encode(error))

        try:
            # Preemptible: a cancel from another process reaches a step that runs within about a second.
            kept = json.loads(await self._dbos.run_step_async({"name": name, "preemptible": True}, recorded))
        except PortableWorkflowError as error:
            raise stored(error) from error
        except errors.DBOSException as error:
            # The turn ends here, whatever it is doing: a flow must not take this for a failure it can answer.
            self.ended = error
            raise asyncio.CancelledError from error
        if "value" in kept:
            return kept["value"]
        raise raised[0] if raised else decode(kept)
