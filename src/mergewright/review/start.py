"""Whether a review starts by itself: what was asked for always does, the rest as the project wants it."""

from collections.abc import Sequence

from mergewright.domain.errors import NotFound
from mergewright.domain.forge import MergeRequest
from mergewright.domain.policy import Policy
from mergewright.domain.review import Review, Verdict
from mergewright.domain.trigger import Cause
from mergewright.review.gather import open_history, policy_at
from mergewright.review.rules import FILE, AutomatedRules, read_rules
from mergewright.review.world import ReviewWorld


def unwanted(
    cause: Cause,
    merge_request: MergeRequest,
    policy: Policy,
    rules: AutomatedRules,
    earlier: Sequence[Review],
    *,
    reviewer: str,
    at: float = 0.0,
) -> str:
    """Say why no review starts; empty when one does.

    `earlier` are the reviews that came to a verdict, and `at` is when this one was asked for.
    """
    if merge_request.state != "opened":
        return f"it is {merge_request.state}"
    if not policy.allows("code_review"):
        return "the flow `code_review` is off here"
    last = earlier[-1] if earlier else None
    # Whoever asks again wants another look; who only makes us a reviewer has the one that there is.
    known = last is not None and last.head_sha == merge_request.sha
    if known and (not cause.explicit or cause is Cause.ASSIGNED or (last and last.created_at > at > 0)):
        return "this head was reviewed already"
    if cause.explicit:
        return ""
    requests = sum(one.verdict is Verdict.REQUESTED_CHANGES for one in earlier)
    if requests >= policy.round_limit:
        return f"changes were requested {requests} times, so a person goes on from here"
    ours = bool(earlier) or any(user.username == reviewer for user in merge_request.reviewers)
    if cause is Cause.PUSHED:
        if not policy.review_on_push:
            return "`review_on_push` is off here"
        if ours:
            return ""
    if not policy.auto_review:
        return "`auto_review` is off here"
    if merge_request.draft:
        return "it is a draft"
    return rules.skips(
        target_branch=merge_request.target_branch,
        source_branch=merge_request.source_branch,
        author=merge_request.author.username,
    )


async def why_not(world: ReviewWorld, project: str, iid: int, cause: Cause, *, at: float = 0.0) -> str:
    """Say why no review of a merge request starts now; empty when one does."""
    merge_request = await world.forge.merge_request(project, iid)
    earlier = [one for one in await world.reviews.reviews(project, iid) if one.verdict is not None]
    if cause.explicit:
        return unwanted(cause, merge_request, Policy(), AutomatedRules(), earlier, reviewer="", at=at)
    history, target = open_history(world, project), f"refs/heads/{merge_request.target_branch}"
    default = f"refs/heads/{(await world.forge.project(project)).default_branch}"
    try:
        await history.fetch(await world.forge.remote(project), target, default)
    except NotFound:
        return "its target branch is gone"
    policy, _ = await policy_at(world, history, project, target)
    rules = read_rules(await history.blob(default, FILE))
    me = (await world.forge.status()).user.username
    return unwanted(cause, merge_request, policy.policy, rules, earlier, reviewer=me, at=at)
