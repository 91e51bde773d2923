"""Reviews a merge request: everything from the diff to the verdict."""

from collections.abc import Mapping

from mergewright.domain.errors import MergewrightError
from mergewright.domain.session import JSON, Status
from mergewright.flows.world import Done, Ending, Work
from mergewright.review.run import review
from mergewright.review.world import ReviewWork


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give the review's id, its verdict and the reviewer's status."""
    if work.world.open_review is None:
        raise MergewrightError("this process cannot review", hint="run `mergewright review`")
    world = work.world.open_review(work.session)
    done = await review(ReviewWork(world, work.session, work.workspace.folder, work.emit))
    verdict = done.verdict.shown if done.verdict else done.status.value
    return Done(
        {"review": done.id, "verdict": done.verdict.value if done.verdict else "", "status": done.status.value},
        Ending(Status.FINISHED, f"{verdict}: {done.reason}"),
    )
