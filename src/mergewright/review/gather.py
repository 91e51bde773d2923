"""Gathers what a review starts from: the merge request, its commits, the policy, and what was said before."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mergewright.domain.errors import Conflict, NotFound, WrongUse
from mergewright.domain.forge import DiffRefs, Discussion, MergeRequest, Remote
from mergewright.domain.review import Review, ReviewerStatus
from mergewright.domain.session import JSON
from mergewright.git.history import History
from mergewright.review import instructions, settings
from mergewright.review.diff import parse_diff
from mergewright.review.instructions import Instructions, read_instructions
from mergewright.review.publish import marks
from mergewright.review.settings import Resolved, resolve, scopes
from mergewright.review.world import Case, ReviewWork, ReviewWorld

LARGEST_DIFF = 200_000_000
"""Bytes of a raw diff; a larger one is refused, and the way out named."""


async def begin(work: ReviewWork, *, attempt: int) -> Case:
    """Find the merge request and open its review, which is kept in the store from here on; nothing is read yet.

    Raises Conflict for a merge request that is not open, and NotFound for one without commits.
    """
    world, subject = work.world, work.session.subject
    if subject.kind != "!":
        raise WrongUse(f"`{subject}` is no merge request", hint="write it as GitLab does: `group/project!12`")
    forge = world.forge
    me = (await forge.status()).user
    # Side by side: each waits for the forge, none for another.
    project, merge_request, discussions = await asyncio.gather(
        forge.project(subject.project),
        forge.merge_request(subject.project, subject.iid),
        forge.discussions(subject),
    )
    if merge_request.state != "opened":
        raise Conflict(f"`{subject}` is {merge_request.state}", hint="reopen it to have it reviewed")
    earlier = await world.reviews.reviews(subject.project, subject.iid)
    refs = _unfinished(work, earlier, discussions) or _refs(merge_request)
    ended = tuple(one for one in earlier if one.verdict is not None and one.session != work.session.id)
    stored = await _stored(world, subject.project)
    policy = resolve(subject.project, stored).policy
    review = await world.reviews.open_review(
        Review(
            "",
            work.session.id,
            subject.project,
            subject.iid,
            len(ended) + 1,
            refs.head_sha,
            refs.base_sha,
            refs.start_sha,
            author=merge_request.author.username,
            explicit=bool(work.session.inputs.get("explicit", True)),
            policy=policy.encode(),
            model="" if world.open_model is None else work.session.model,
            created_at=world.clock(),
        )
    )
    if review.status is ReviewerStatus.FAILED:
        review = replace(review, status=ReviewerStatus.REVIEWING, reason="", error_code="", ended_at=0.0)
    return Case(
        project=project,
        merge_request=merge_request,
        refs=refs,
        history=open_history(world, subject.project),
        files=(),
        policy=policy,
        instructions=Instructions(),
        review=review,
        earlier=ended,
        findings=tuple(await world.reviews.findings(subject.project, subject.iid)),
        discussions=tuple(discussions),
        reviewer=me.username,
        window=world.settings.window,
        prefix=f"again{attempt}." if attempt else "",
    )


async def gather(work: ReviewWork, case: Case) -> Case:
    """Read the commits, and the policy and instructions of the target branch.

    Raises NotFound for commits that the forge has no more, and Conflict for a diff that is too large.
    """
    world, subject, refs = work.world, work.session.subject, case.refs
    remote = await world.forge.remote(subject.project)
    target = f"refs/heads/{case.merge_request.target_branch}"
    await case.history.fetch(remote, refs.base_sha, refs.head_sha, target)
    resolved, asked = await policy_at(world, case.history, subject.project, target)
    raw = await case.history.raw_diff(refs.base_sha, refs.head_sha)
    if len(raw) > LARGEST_DIFF:
        raise Conflict(
            f"the diff of `{subject}` is {len(raw) // 1_000_000} MB, too large to review",
            hint="split the merge request, or exclude what is generated from the repository",
        )
    return replace(
        case,
        files=parse_diff(raw),
        policy=resolved.policy,
        instructions=asked,
        review=replace(case.review, policy=resolved.policy.encode()),
        remarks=(*resolved.problems, *asked.problems),
    )


def open_history(world: ReviewWorld, project: str) -> History:
    """Give the repository that keeps what is reviewed of a project."""
    name = hashlib.sha256(f"{world.settings.mirror_of}\0{project}".encode()).hexdigest()[:24]
    return History(world.settings.mirrors / f"{name}.git")


async def policy_at(world: ReviewWorld, history: History, project: str, target: str) -> tuple[Resolved, Instructions]:
    """Read policy and instructions as the server and the target branch, which has been fetched, have them."""
    stored = await _stored(world, project)
    files = await history.blobs(target, [settings.FILE, instructions.FILE])
    return resolve(project, stored, files.get(settings.FILE)), read_instructions(files.get(instructions.FILE))


async def _stored(world: ReviewWorld, project: str) -> dict[str, Mapping[str, JSON]]:
    return {scope: await world.reviews.settings(scope) for scope in scopes(project)}


async def policy_of(world: ReviewWorld, merge_request: MergeRequest, remote: Remote) -> Resolved:
    """Read the policy for one merge request outside of a review."""
    history, target = open_history(world, merge_request.project), f"refs/heads/{merge_request.target_branch}"
    await history.fetch(remote, target)
    return (await policy_at(world, history, merge_request.project, target))[0]


def _refs(merge_request: MergeRequest) -> DiffRefs:
    refs = merge_request.diff_refs
    if refs is None or not refs.base_sha or not refs.head_sha:
        raise NotFound(
            f"`{merge_request.project}!{merge_request.iid}` has no commits to review",
            hint="push something to its branch; when you just did, try again in a moment",
        )
    return refs


def _unfinished(work: ReviewWork, earlier: Sequence[Review], discussions: Sequence[Discussion]) -> DiffRefs | None:
    """Give the commits of a review that this session had published when it was killed: that one ends first."""
    there = marks(discussions)
    for one in earlier:
        mine = one.session == work.session.id and one.status is ReviewerStatus.REVIEWING
        if mine and f"review.{one.id}" in there:
            return DiffRefs(one.base_sha, one.start_sha, one.head_sha)
    return None
