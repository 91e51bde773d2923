"""The verdict, from facts alone: no text of a model or a merge request has a say in it."""

from collections.abc import Sequence
from dataclasses import dataclass

from mergewright.domain.policy import Policy
from mergewright.domain.review import Coverage, Finding, FindingState, ReviewerStatus, Seen, Verdict


@dataclass(frozen=True, slots=True)
class Facts:
    """What a verdict rests on besides the findings."""

    coverage: Sequence[Coverage] = ()
    failed_parts: Sequence[str] = ()
    """What of the review itself did not work, each in a few words."""
    own_author: bool = False
    """The merge request was opened by our own developer identity or by the reviewer itself."""
    steering: bool = False
    """Something in the change tries to steer the reviewer."""
    requests_before: int = 0
    """Earlier reviews of this merge request that requested changes."""
    draft: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and why."""

    verdict: Verdict
    reason: str
    hand_over: bool = False
    """The round limit is reached: a person goes on from here."""

    @property
    def status(self) -> ReviewerStatus:
        return {
            Verdict.APPROVED: ReviewerStatus.APPROVED,
            Verdict.REVIEWED: ReviewerStatus.COMMENTED,
            Verdict.REQUESTED_CHANGES: ReviewerStatus.CHANGES_REQUESTED,
        }[self.verdict]


def blocking(finding: Finding, policy: Policy) -> bool:
    """Whether a finding asks for changes: it stands, it is severe enough, and it was not noticed late."""
    return finding.state.standing and not finding.late and finding.severity.rank >= policy.block_on.rank


def decide(findings: Sequence[Finding], policy: Policy, facts: Facts) -> Decision:
    """Give the verdict on a merge request whose findings stand as given."""
    stops = [finding for finding in findings if blocking(finding, policy)]
    if stops and policy.request_changes:
        hand_over = facts.requests_before + 1 >= policy.round_limit
        return Decision(Verdict.REQUESTED_CHANGES, f"{_count(len(stops), 'finding')} must be dealt with", hand_over)
    if stops:
        return Decision(
            Verdict.REVIEWED, f"{_count(len(stops), 'finding')} would block, but this project asks for comments only"
        )
    if why := _no_approval(facts):
        return Decision(Verdict.REVIEWED, why)
    rest = [finding for finding in findings if finding.state.standing and not finding.late]
    if not rest:
        return Decision(Verdict.APPROVED, _praise(findings))
    had = any(_was_blocking(finding, policy) for finding in findings)
    if had:
        return Decision(Verdict.APPROVED, f"what blocked is dealt with; {_count(len(rest), 'suggestion')} remain")
    return Decision(Verdict.REVIEWED, f"{_count(len(rest), 'suggestion')}, none of which blocks")


def _no_approval(facts: Facts) -> str:
    """Say what rules an approval out; empty when nothing does."""
    if facts.failed_parts:
        return f"no approval: {facts.failed_parts[0]}"
    unseen = [one for one in facts.coverage if one.seen is not Seen.REVIEWED and not one.excused]
    if unseen:
        return f"no approval: {_count(len(unseen), 'file')} could not be reviewed whole"
    if facts.steering:
        return "no approval: something in this change tries to steer the reviewer, so a person must look"
    if facts.own_author:
        return "no approval: this merge request was opened by an account of the reviewer's own"
    return ""


def _was_blocking(finding: Finding, policy: Policy) -> bool:
    return (
        finding.state in {FindingState.FIXED, FindingState.DISMISSED, FindingState.OBSOLETE}
        and not finding.late
        and finding.severity.rank >= policy.block_on.rank
    )


def _praise(findings: Sequence[Finding]) -> str:
    done = sum(finding.state is FindingState.FIXED for finding in findings)
    return f"nice work: {_count(done, 'finding')} fixed, nothing left to say" if done else "nice work: nothing to say"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
