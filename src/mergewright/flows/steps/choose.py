"""Hands a value on, so that a flow can take one way or another by it."""

from collections.abc import Mapping

from mergewright.domain.session import JSON
from mergewright.flows.world import Done, Work


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Put out the value as it came in; a missing one as false."""
    value = arguments.get("value")
    return Done({"value": False if value is None else value})
