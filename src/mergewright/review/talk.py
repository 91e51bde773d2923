"""A review's conversations with its model: each has its key in the session's log and goes on there."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from mergewright.agent.loop import Agent, Assignment
from mergewright.domain.agent import Limits, Model, Tool
from mergewright.domain.errors import ContextOverflow, MergewrightError, ModelError
from mergewright.domain.session import JSON, Usage
from mergewright.review.world import ReviewWork

Item = TypeVar("Item")
Result = TypeVar("Result")

CALLS = 16
"""Replies of one conversation: a few looks around, and the answer."""


@dataclass(slots=True)
class Talk:
    """Asks the model of one review."""

    work: ReviewWork
    model: Model
    prefix: str = ""
    """Tells the conversations of a second try, on a newer head, from those of the first."""
    usage: Usage = field(default_factory=Usage)

    async def ask(
        self, name: str, system: str, prompt: str, answer: Mapping[str, JSON], tools: Sequence[Tool]
    ) -> Mapping[str, JSON]:
        """Give what the model finishes with; raises MergewrightError when it comes to no answer."""
        limits = self.work.world.settings.limits
        agent = Agent(self.model, self.work.world.store, tools)
        outcome = await agent.run(
            Assignment(
                session=self.work.session,
                component=f"{self.prefix}{name}",
                system=system,
                prompt=prompt,
                answer=answer,
                limits=Limits(min(CALLS, limits.turns), limits.tokens, limits.seconds, limits.cost),
            )
        )
        self.usage += outcome.usage
        return outcome.answer


def passing(error: MergewrightError) -> bool:
    """Whether only this part of a review failed, and the rest can go on: not so where no model can be reached."""
    return not isinstance(error, ModelError) or isinstance(error, ContextOverflow)


async def side_by_side(items: Sequence[Item], do: Callable[[Item], Awaitable[Result]], *, most: int) -> list[Result]:
    """Do the same with several items, a few at a time; the first error ends the rest and is raised as it is."""
    gate = asyncio.Semaphore(most)

    async def one(item: Item) -> Result:
        async with gate:
            return await do(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
