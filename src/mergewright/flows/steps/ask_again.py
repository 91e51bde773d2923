"""Asks the reviewers who wanted changes to look again."""

from collections.abc import Mapping

from mergewright.domain.session import JSON, Status
from mergewright.flows.world import Done, Ending, Work, given

WAITING = frozenset({"requested_changes"})


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Ask each of them once, and say how the session ends."""
    push = given(arguments, "push", "ask_again")
    subject = work.session.subject
    forge = work.world.forge
    asked = []
    for reviewer in await forge.reviewers(subject.project, subject.iid):
        if reviewer.state in WAITING:
            await forge.ask_again(subject.project, subject.iid, reviewer.user)
            asked.append(reviewer.user.username)
            await work.wrote("ask_again", subject=str(subject), web_url="", reviewer=reviewer.user.username)
    told = f"; asked {', '.join(asked)} to look again" if asked else ""
    return Done({"asked": asked}, Ending(Status.FINISHED, f"pushed {str(push['sha'])[:8]}{told}"))
