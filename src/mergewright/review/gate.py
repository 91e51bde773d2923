"""What a verdict means for the merge: which calls to make, and what the forge really enforces then."""

from dataclasses import dataclass
from typing import Literal

from mergewright.domain.approval import ApprovalRule, Approvals, Gates, StatusCheck
from mergewright.domain.policy import Approval, Policy
from mergewright.domain.review import ReviewerStatus

NAME = "mergewright"
"""The commit status that carries the gate, and the external status check that may."""
State = Literal["success", "failed", "pending"]


@dataclass(frozen=True, slots=True)
class GateAction:
    """What is to be done on the forge, and how it is told."""

    native: Literal["approve", "request_changes", "clear_request", "none"]
    state: State | None
    """Of the commit status or the status check; None where neither is to be set."""
    description: str
    """One short line, for the status."""
    enforced: str
    """What the forge enforces of it, in a sentence."""
    check: StatusCheck | None = None
    """The external status check to answer; None for a commit status."""
    licensed: bool = False
    """Whether the forge has approval rules, and several reviewers with them."""
    approved: bool = True
    """Whether an approval of ours may stand that is to be taken back."""
    requested: bool = True
    """Whether a request for changes of ours may stand that is to be withdrawn."""


def gate(
    policy: Policy,
    status: ReviewerStatus,
    gates: Gates,
    approvals: Approvals,
    *,
    reviewer: str,
    author: str,
    requested: bool = False,
) -> GateAction:
    """Give what follows from where the reviewer stands; called again when people's approvals change.

    `reviewer` and `author` are usernames; `requested` says that an earlier review asked for changes which still stand.
    """
    if policy.approval is Approval.ADVISORY:
        return GateAction(
            "none", None, "", "This review is advisory: it blocks nothing and its approval counts nowhere."
        )
    native = _native(policy, status, approvals, reviewer)
    state, why = _state(policy, status, approvals, reviewer, author)
    asked = native == "request_changes" or (requested and native == "none")
    if requested and status is ReviewerStatus.FAILED:
        # A review that came to nothing takes nothing back.
        state, why = "failed", "Changes were requested before, and the last review failed"
    check = next((one for one in gates.status_checks if one.name == NAME), None)
    return GateAction(native, state, why, _enforced(state, why, gates, check, asked=asked), check, gates.native)


def _native(
    policy: Policy, status: ReviewerStatus, approvals: Approvals, reviewer: str
) -> Literal["approve", "request_changes", "clear_request", "none"]:
    if status is ReviewerStatus.CHANGES_REQUESTED:
        return "request_changes"
    if status in {ReviewerStatus.COMMENTED, ReviewerStatus.OVERRIDDEN}:
        return "clear_request"
    if status is not ReviewerStatus.APPROVED:
        return "none"
    if policy.approval is Approval.NOT_COUNTED and not any(reviewer in rule.users for rule in approvals.rules):
        # An approval would be taken by any rule that asks for anybody's.
        return "clear_request"
    return "approve"


def _state(
    policy: Policy, status: ReviewerStatus, approvals: Approvals, reviewer: str, author: str
) -> tuple[State, str]:
    required = policy.approval is Approval.REQUIRED
    if status is ReviewerStatus.CHANGES_REQUESTED:
        return "failed", "Changes requested"
    if status is ReviewerStatus.OVERRIDDEN:
        return "success", "The request for changes was overridden"
    if status is ReviewerStatus.FAILED:
        if required or policy.on_failure == "closed":
            return "failed", "The review failed: ask for another one"
        return "success", "The review failed; this project lets that pass"
    if status is not ReviewerStatus.APPROVED:
        if status is ReviewerStatus.COMMENTED and not required:
            return "success", "Commented: nothing blocks"
        if required:
            return "pending", "The approval of the reviewer is required and missing"
        return "success", "No review yet: nothing blocks"
    if required and not _people(approvals, reviewer, author):
        return "pending", "Approved; one person has to approve too"
    if policy.approval is Approval.NOT_COUNTED and _counted_in_somewhere(approvals, reviewer):
        return "pending", "Approved, which does not count: the rules need their approvals from people"
    return "success", "Approved"


def _people(approvals: Approvals, reviewer: str, author: str) -> bool:
    return any(user.username not in {reviewer, author} and not user.bot for user in approvals.approved_by)


def _counted_in_somewhere(approvals: Approvals, reviewer: str) -> bool:
    """Whether a rule that names the reviewer makes us approve, and a generic one would take that approval too."""
    if not any(reviewer in rule.users for rule in approvals.rules):
        return False
    return any(_generic(rule, reviewer) and _short_without(rule, reviewer) for rule in approvals.rules)


def _generic(rule: ApprovalRule, reviewer: str) -> bool:
    return reviewer not in rule.users and rule.approvals_required > 0


def _short_without(rule: ApprovalRule, reviewer: str) -> bool:
    return sum(name != reviewer for name in rule.approved_by) < rule.approvals_required


def _enforced(state: State | None, why: str, gates: Gates, check: StatusCheck | None, *, asked: bool) -> str:
    """Say what keeps a merge from happening, and never more than the forge enforces."""
    if state == "success":
        return "Nothing of this review blocks the merge."
    if asked and gates.native:
        return "The forge blocks the merge until the request for changes is withdrawn or overridden."
    if check is not None and gates.status_checks_must_pass:
        return f"The forge blocks the merge by the external status check `{check.name}`."
    if check is None and gates.pipelines_must_succeed:
        return f"The forge blocks the merge by the commit status `{NAME}`, as pipelines must succeed here."
    if check is not None:
        way = 'turn on "Status checks must succeed" in the project\'s settings'
    else:
        way = 'turn on "Pipelines must succeed" in the project\'s settings'
    return f"{why}, but this forge enforces nothing of it: to make it block, {way}."
