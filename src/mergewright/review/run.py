"""One review from beginning to end; killed anywhere and run again, it says nothing twice."""

from collections.abc import Mapping
from dataclasses import replace

from mergewright.domain.errors import (
    Conflict,
    ContextOverflow,
    Forbidden,
    ForgeError,
    LimitReached,
    MergewrightError,
    ModelRefused,
    ModelUnavailable,
    NoSandbox,
    NotFound,
    ReplayDiverged,
    SandboxError,
    Unauthorized,
    Unreachable,
    WrongUse,
)
from mergewright.domain.review import AuditEntry, Finding, FindingState, Review, ReviewerStatus, heed
from mergewright.domain.session import JSON, EventKind
from mergewright.review import render
from mergewright.review.decide import decide
from mergewright.review.examine import Outcome, examine, kept_facts
from mergewright.review.gather import begin, gather
from mergewright.review.override import Desk, restate
from mergewright.review.publish import HeadMoved, drop_drafts, finished, publish, set_gate, weigh
from mergewright.review.world import Case, ReviewWork

TRIES = 3
"""Heads that one session looks at, when somebody pushes while it runs."""
CODES: tuple[tuple[type[MergewrightError], str], ...] = (
    (NoSandbox, "MRW4002"),
    (WrongUse, "MRW4001"),
    (ModelRefused, "MRW4003"),
    (Unauthorized, "MRW4004"),
    (Forbidden, "MRW4005"),
    (NotFound, "MRW4006"),
    (Conflict, "MRW4007"),
    (ModelUnavailable, "MRW5001"),
    (ContextOverflow, "MRW5002"),
    (ReplayDiverged, "MRW5003"),
    (LimitReached, "MRW5004"),
    (SandboxError, "MRW5005"),
    (Unreachable, "MRW5006"),
    (MergewrightError, "MRW5000"),
)
"""Error codes of failed reviews: 4 for what somebody must set up otherwise, 5 for what another try may get over."""


async def review(work: ReviewWork) -> Review:
    """Review the newest head and publish the verdict.

    Raises MergewrightError after the merge request was told that the review failed, where that was possible.
    """
    for attempt in range(TRIES):
        case = await begin(work, attempt=attempt)
        if case.review.ended_at and case.review.verdict is not None:
            return case.review
        try:
            case = await gather(work, case)
            return await _review(work, case)
        except HeadMoved:
            await work.say(f"the head moved on from {case.refs.head_sha[:8]} while it was reviewed")
            stale = "somebody pushed while this head was reviewed"
            await work.world.reviews.save_review(replace(case.review, status=ReviewerStatus.NONE, reason=stale))
        except MergewrightError as error:
            await _fail(work, case, error)
            raise
    raise Conflict(
        f"the branch of `{work.session.subject}` moved {TRIES} times while it was reviewed",
        hint="ask for a review once it stands still",
    )


async def _review(work: ReviewWork, case: Case) -> Review:
    world, author = work.world, case.merge_request.author.username
    await work.say(
        f"reviewing {case.refs.head_sha[:8]}: {len(case.files)} files, "
        f"{sum(file.changed for file in case.files)} changed lines"
    )
    outcome = await examine(work, case, own_author=author in {case.reviewer, world.developer} - {""})
    outcome = await _heeded(work, case, outcome)
    decision = outcome.decision
    await work.emit(EventKind.PROGRESS, {"text": f"verdict: {decision.verdict.shown}: {decision.reason}"})
    action = await weigh(work, case, decision.status)
    told = render.Told(
        review=case.review,
        decision=decision,
        policy=case.policy,
        findings=outcome.findings,
        replies=outcome.replies,
        coverage=outcome.coverage,
        dropped=outcome.dropped,
        remarks=case.remarks,
        failed_parts=outcome.facts.failed_parts,
        suppressed=outcome.suppressed,
        gate=action.enforced,
        model=case.review.model,
        takes_reviewers=action.licensed,
    )
    await world.reviews.keep_part(case.review.id, "facts", kept_facts(outcome, case.remarks))
    findings, note = await publish(work, case, told, discussions=case.discussions)
    await world.reviews.save_findings(
        case.review.project, case.review.iid, findings, *_of_findings(work, case, outcome, findings)
    )
    await set_gate(world.forge, case.merge_request, case.review.head_sha, action)
    done = replace(finished(case.review, told, at=world.clock(), note=note), error_code="", tokens=outcome.tokens)
    await world.reviews.save_review(done, *_of_review(work, case, done, hand_over=decision.hand_over))
    return await _settled(work, case, done, {one.id: one.state for one in findings})


async def _heeded(work: ReviewWork, case: Case, outcome: Outcome) -> Outcome:
    """Take in what people decided about findings since the review began: its verdict must not pass over that."""
    kept = {one.id: one for one in await work.world.reviews.findings(case.review.project, case.review.iid)}
    findings = tuple(heed(kept[one.id], one) if one.id in kept else one for one in outcome.findings)
    if findings == outcome.findings:
        return outcome
    decided = {one.id for one, before in zip(findings, outcome.findings, strict=True) if one != before}
    return replace(
        outcome,
        findings=findings,
        replies=tuple(one for one in outcome.replies if one.finding.id not in decided),
        decision=decide(findings, case.policy, outcome.facts),
    )


async def _settled(work: ReviewWork, case: Case, done: Review, told: Mapping[str, FindingState]) -> Review:
    """Take in what people decided while the verdict was published; from here on each decision brings its own."""
    now = await work.world.reviews.findings(done.project, done.iid)
    if all(told.get(one.id, one.state) is one.state for one in now):
        return done
    await restate(Desk(work.world, work.session.subject, case.policy, case.reviewer), done)
    return await work.world.reviews.review(done.id)


async def _fail(work: ReviewWork, case: Case, error: MergewrightError) -> None:
    """Tell the merge request and the store that the review failed; what is said is said once a review."""
    world, review = work.world, case.review
    code = next(code for kind, code in CODES if isinstance(error, kind))
    failed = replace(
        review, status=ReviewerStatus.FAILED, reason=error.message, error_code=code, ended_at=world.clock()
    )
    entry = _entry(work, case, "review", error.message, {"status": "failed", "error_code": code})
    try:
        await world.reviews.save_review(failed, entry)
    except MergewrightError as second:
        # Such as a lost key of the audit: the merge request is told all the same.
        await work.say(f"that the review failed could not be kept: {second.message}")
    try:
        await drop_drafts(work, case)
        action = await weigh(work, case, ReviewerStatus.FAILED)
        text = render.failed(
            failed, message=error.message, hint=error.hint, reviewer=case.reviewer, sentence=action.enforced
        )
        await world.forge.add_note(work.session.subject, text, mark=f"failed.{review.id}")
        await set_gate(world.forge, case.merge_request, review.head_sha, action)
    except (ForgeError, HeadMoved) as second:
        # The first error is the one to act on; that the forge could not be told either is kept beside it.
        await work.say(f"the merge request could not be told that the review failed: {second}")


def _of_findings(work: ReviewWork, case: Case, outcome: Outcome, findings: list[Finding]) -> list[AuditEntry]:
    """Give a line for each new finding and each answer."""
    before = {one.id for one in case.findings}
    entries = [
        _entry(work, case, "finding", one.title, {"severity": one.severity.value, "category": one.category}, one.id)
        for one in findings
        if one.id not in before
    ]
    for reply in outcome.replies:
        said = reply.answer
        action = "concede" if said.outcome == "conceded" else "verify"
        details = {"outcome": "reopened" if reply.reopened else said.outcome, "by": said.by}
        entries.append(_entry(work, case, action, said.evidence, details, reply.finding.id))
    return entries


def _of_review(work: ReviewWork, case: Case, done: Review, *, hand_over: bool) -> list[AuditEntry]:
    verdict = done.verdict.value if done.verdict else ""
    entries = [_entry(work, case, "review", done.reason, {"verdict": verdict, "round": done.round})]
    if hand_over:
        entries.append(_entry(work, case, "handover", "the limit of rounds is reached", {"round": done.round}))
    return entries


def _entry(
    work: ReviewWork, case: Case, action: str, reason: str, details: dict[str, JSON], finding: str = ""
) -> AuditEntry:
    review = case.review
    return AuditEntry(
        work.world.clock(),
        f"reviewer:{case.reviewer}",
        action,
        review.project,
        review.iid,
        review.head_sha,
        finding,
        reason,
        {**details, "session": work.session.id},
        dict(review.policy),
    )
