"""Overrides, dismissals and disputes: the same check and the same record, wherever a person asks for one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mergewright.domain.errors import Conflict, Forbidden, WrongUse
from mergewright.domain.forge import AccessLevel, MergeRequest, User
from mergewright.domain.policy import Policy
from mergewright.domain.review import AuditEntry, Finding, FindingState, Review, ReviewerStatus, Verdict
from mergewright.domain.session import JSON, Subject
from mergewright.review import render
from mergewright.review.decide import Decision, Facts, blocking, decide
from mergewright.review.gate import GateAction, gate
from mergewright.review.publish import marks, set_gate
from mergewright.review.world import ReviewWorld

LEAST_REASON = 3
"""Characters of a reason."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One merge request, its policy, and what is needed to change what the reviewer says of it."""

    world: ReviewWorld
    subject: Subject
    policy: Policy
    reviewer: str

    def entry(
        self, actor: str, action: str, *, head: str = "", finding: str = "", reason: str = "", **details: JSON
    ) -> AuditEntry:
        """Give a line for the audit, with the policy in force."""
        return AuditEntry(
            self.world.clock(),
            actor,
            action,
            self.subject.project,
            self.subject.iid,
            head,
            finding,
            reason,
            details,
            self.policy.encode(),
        )


async def dismiss(desk: Desk, finding_id: str, who: User, reason: str) -> str:
    """Take a finding back for good; gives a sentence. Raises Forbidden, WrongUse or Conflict, with nothing changed."""
    finding = await _finding(desk, finding_id)
    level = await _check(desk, who, reason, "dismiss a finding", desk.policy.override_role, finding.id)
    if not finding.state.standing:
        raise Conflict(f"the finding is {finding.state.value} already")
    review = await last_review(desk)
    gone = replace(finding, state=FindingState.DISMISSED, answer=f"dismissed by @{who.username}: {reason}")
    entry = desk.entry(
        who.username, "dismiss", head=finding.last_sha, finding=finding.id, reason=reason, **_of(finding, level)
    )
    await desk.world.reviews.save_findings(desk.subject.project, desk.subject.iid, [gone], entry)
    after = await restate(desk, review) if review is not None else ""
    return f"Dismissed by @{who.username}. {after}".strip()


async def dispute(desk: Desk, finding_id: str, who: User, reason: str) -> str:
    """Mark a finding as incorrect: it stands until the next review has answered the argument."""
    finding = await _finding(desk, finding_id)
    level = await _check(desk, who, reason, "dispute a finding", AccessLevel.DEVELOPER, finding.id)
    if not finding.state.standing:
        raise Conflict(f"the finding is {finding.state.value} already")
    said = replace(finding, state=FindingState.DISPUTED, answer=f"@{who.username}: {reason}")
    entry = desk.entry(
        who.username, "dispute", head=finding.last_sha, finding=finding.id, reason=reason, **_of(finding, level)
    )
    await desk.world.reviews.save_findings(desk.subject.project, desk.subject.iid, [said], entry)
    return (
        f"Noted, @{who.username}: the finding is disputed. It still stands; the next review answers your argument "
        f"with evidence. Write `@{desk.reviewer} review` to have it now."
    )


async def override(desk: Desk, who: User, reason: str) -> str:
    """Lift the whole request for changes, without an approval."""
    level = await _check(desk, who, reason, "override the request for changes", desk.policy.override_role, "")
    project, iid = desk.subject.project, desk.subject.iid
    review = await last_review(desk)
    findings = await desk.world.reviews.findings(project, iid)
    stops = [one for one in findings if blocking(one, desk.policy)]
    asked = review is not None and review.status in {ReviewerStatus.CHANGES_REQUESTED, ReviewerStatus.FAILED}
    if review is None or not asked:
        raise Conflict("there is no request for changes to override")
    answer = f"overridden by @{who.username}: {reason}"
    gone = [replace(one, state=FindingState.DISMISSED, answer=answer) for one in stops]
    entry = desk.entry(
        who.username,
        "override",
        head=review.head_sha,
        reason=reason,
        findings=[one.id for one in stops],
        role=level.name.lower(),
        categories=sorted({one.category for one in stops}),
    )
    lifted = replace(review, status=ReviewerStatus.OVERRIDDEN, reason=answer)
    await desk.world.reviews.save_findings(project, iid, gone, entry)
    await restate(desk, lifted)
    return f"Overridden by @{who.username}: the request for changes is lifted, without an approval."


async def last_review(desk: Desk) -> Review | None:
    """Give the newest review that has come to an end, well or not."""
    found = await desk.world.reviews.reviews(desk.subject.project, desk.subject.iid)
    ended = [one for one in found if one.status not in {ReviewerStatus.REVIEWING, ReviewerStatus.NONE}]
    return ended[-1] if ended else None


async def restate(desk: Desk, review: Review) -> str:
    """Decide anew after a person has changed a finding's fate; nothing new is approved that was not reviewed."""
    world, project, iid = desk.world, desk.subject.project, desk.subject.iid
    merge_request = await world.forge.merge_request(project, iid)
    findings = await world.reviews.findings(project, iid)
    kept = await world.reviews.part(review.id, "facts") or {}
    if review.status is ReviewerStatus.OVERRIDDEN:
        decision = Decision(Verdict.REVIEWED, review.reason)
        status = ReviewerStatus.OVERRIDDEN
    elif review.verdict is None:
        return ""
    else:
        decision = decide(findings, desk.policy, facts_of(review, kept, findings))
        status = decision.status
        if status is ReviewerStatus.APPROVED and merge_request.sha != review.head_sha:
            return "The branch has moved since the review, so the next review decides."
    action = await _gate(desk, merge_request, status)
    told = render.Told(
        review=review,
        decision=decision,
        policy=desk.policy,
        findings=findings,
        coverage=review.coverage,
        dropped=review.dropped,
        remarks=kept.get("remarks", ()),
        failed_parts=kept.get("failed_parts", ()),
        suppressed=kept.get("suppressed", ()),
        unposted=[one for one in findings if one.state.standing and not one.late and not one.discussion_id],
        gate=action.enforced,
        model=review.model,
        headline="Commented (overridden)" if status is ReviewerStatus.OVERRIDDEN else "",
    )
    mark = f"review.{review.id}"
    note = review.summary_note or marks(await world.forge.discussions(desk.subject)).get(mark, ("", 0))[1]
    now = replace(
        review,
        status=status,
        verdict=decision.verdict,
        reason=decision.reason,
        gate=action.enforced,
        summary_note=note,
    )
    if note:
        await world.forge.update_note(desk.subject, note, render.summary(told), mark=mark)
    entry = desk.entry(f"reviewer:{desk.reviewer}", "review", head=review.head_sha, reason=decision.reason)
    await world.reviews.save_review(now, replace(entry, details={"verdict": decision.verdict.value, "anew": True}))
    await carry_out(desk, merge_request, review.head_sha, action)
    blocks = sum(blocking(one, desk.policy) for one in findings)
    rest = f"{blocks} blocking finding{'' if blocks == 1 else 's'} left." if blocks else "No blocking finding is left."
    return f"{rest} Verdict now: {decision.verdict.shown}."


async def _gate(desk: Desk, merge_request: MergeRequest, status: ReviewerStatus) -> GateAction:
    forge, project, iid = desk.world.forge, desk.subject.project, desk.subject.iid
    gates, approvals = await forge.gates(project, iid), await forge.approvals(project, iid)
    author = merge_request.author.username
    return gate(desk.policy, status, gates, approvals, reviewer=desk.reviewer, author=author)


async def carry_out(desk: Desk, merge_request: MergeRequest, sha: str, action: GateAction) -> None:
    """Make a gate's calls for the head that was reviewed."""
    await set_gate(desk.world.forge, merge_request, sha, action)


async def weigh_again(desk: Desk) -> str:
    """Look at the gate again because people's approvals changed; nothing is reviewed anew."""
    review = await last_review(desk)
    if review is None:
        return ""
    merge_request = await desk.world.forge.merge_request(desk.subject.project, desk.subject.iid)
    if merge_request.sha != review.head_sha:
        return ""
    action = await _gate(desk, merge_request, review.status)
    # Who approves by hand is a person; what is native of the reviewer's stays as the review left it.
    await carry_out(desk, merge_request, review.head_sha, replace(action, native="none"))
    await desk.world.reviews.save_review(replace(review, gate=action.enforced))
    return action.enforced


def facts_of(review: Review, kept: Mapping[str, JSON], findings: Sequence[Finding]) -> Facts:
    """Give what a verdict rests on, as it was kept with the review."""
    return Facts(
        coverage=review.coverage,
        failed_parts=tuple(kept.get("failed_parts", ())),
        own_author=bool(kept.get("own_author", False)),
        steering=any(one.category == "injection" and one.state.standing for one in findings),
        requests_before=int(kept.get("requests_before", 0)),
    )


async def _finding(desk: Desk, finding_id: str) -> Finding:
    project, iid, finding = await desk.world.reviews.finding(finding_id)
    if (project, iid) != (desk.subject.project, desk.subject.iid):
        raise WrongUse(f"the finding `{finding_id}` belongs to another merge request")
    return finding


async def _check(desk: Desk, who: User, reason: str, what: str, needed: AccessLevel, finding: str) -> AccessLevel:
    level = await desk.world.forge.access_level(desk.subject.project, who.id)
    if level < needed:
        refused = f"to {what} takes the role {needed.name.title()} or more; @{who.username} has {_role(level)}"
        await desk.world.reviews.audit(
            desk.entry(who.username, "refuse", finding=finding, reason=refused, attempt=what, said=reason[:500])
        )
        raise Forbidden(refused, hint=f"ask somebody with the role {needed.name.title()}")
    if len(reason.strip()) < LEAST_REASON:
        raise WrongUse(f"to {what} takes a reason", hint=f"as in `@{desk.reviewer} {what.split()[0]} because …`")
    return level


def _role(level: AccessLevel) -> str:
    return "no role here" if level == AccessLevel.NONE else level.name.title()


def _of(finding: Finding, level: AccessLevel) -> dict[str, JSON]:
    return {
        "role": level.name.lower(),
        "category": finding.category,
        "severity": finding.severity.value,
        "source": finding.source,
    }
