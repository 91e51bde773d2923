"""Ends the session because a person wanted it so."""

from collections.abc import Mapping

from mergewright.domain.session import JSON, Status
from mergewright.flows.world import Done, Ending, Work


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Say who stopped it and why."""
    by = f" by {arguments['by']}" if arguments.get("by") else ""
    reason = f": {arguments['reason']}" if arguments.get("reason") else ""
    return Done(ending=Ending(Status.STOPPED, f"the plan was rejected{by}{reason}"))
