"""Approving a merge request, asking for changes, and taking either back."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mergewright.localforge.announce import announce_merge_request
from mergewright.localforge.approval_rules import approvals, approved, may_approve, may_ask, own
from mergewright.localforge.errors import unauthorized
from mergewright.localforge.instance import Instance
from mergewright.localforge.notes import add_system_note
from mergewright.localforge.tables import ApprovalRow, ChangeRequest, ChangeRequestBypass, MergeRequest, Reviewer, User


def approve(instance: Instance, session: Session, merge_request: MergeRequest, user: User) -> None:
    """Approve; a standing request of the same user for changes is over with that."""
    if merge_request.state != "opened" or not may_approve(instance, session, merge_request, user):
        raise unauthorized()
    before = approved(instance, session, merge_request)
    session.add(ApprovalRow(merge_request_id=merge_request.id, user_id=user.id))
    session.execute(delete(ChangeRequest).where(*own(merge_request, user)))
    _set_state(session, merge_request, user, "approved")
    add_system_note(session, merge_request, user, "approved this merge request")
    session.flush()
    now_met = approved(instance, session, merge_request) and not before
    announce_merge_request(instance, session, merge_request, user, "approved" if now_met else "approval")


def unapprove(instance: Instance, session: Session, merge_request: MergeRequest, user: User) -> bool:
    """Take an approval back; false when there is none."""
    row = next((one for one in approvals(session, merge_request) if one.user_id == user.id), None)
    if row is None:
        return False
    before = approved(instance, session, merge_request)
    session.delete(row)
    _set_state(session, merge_request, user, "unapproved")
    add_system_note(session, merge_request, user, "unapproved this merge request")
    session.flush()
    lost = before and not approved(instance, session, merge_request)
    announce_merge_request(instance, session, merge_request, user, "unapproved" if lost else "unapproval")
    return True


def reset(session: Session, merge_request: MergeRequest) -> None:
    """Forget every approval, as a push that changes something does."""
    for row in approvals(session, merge_request):
        _set_state(session, merge_request, row.user, "unapproved")
        session.delete(row)
    session.flush()


def set_reviewer_state(
    instance: Instance, session: Session, merge_request: MergeRequest, user: User, state: str
) -> bool:
    """Record how far a reviewer is: `reviewed` or `requested_changes`; false when the user is no reviewer."""
    reviewer = _reviewer(session, merge_request, user)
    if reviewer is None or not may_ask(instance, session, merge_request, user):
        return False
    if state == "reviewed":
        # An approval or a request stands until it is taken back as such.
        if reviewer.state not in {"approved", "requested_changes"}:
            reviewer.state = "reviewed"
        return True
    if state == "requested_changes":
        unapprove(instance, session, merge_request, user)
        if session.scalar(select(ChangeRequest).where(*own(merge_request, user))) is None:
            session.add(ChangeRequest(merge_request_id=merge_request.id, user_id=user.id))
            add_system_note(session, merge_request, user, "requested changes")
    reviewer.state = state
    session.flush()
    return True


def withdraw_request(session: Session, merge_request: MergeRequest, user: User) -> bool:
    """Take one's own request for changes back; false when there is none."""
    row = session.scalar(select(ChangeRequest).where(*own(merge_request, user)))
    if row is None:
        return False
    session.delete(row)
    reviewer = _reviewer(session, merge_request, user)
    if reviewer is not None and reviewer.state == "requested_changes":
        reviewer.state = "reviewed"
    session.flush()
    return True


def bypass(session: Session, merge_request: MergeRequest, user: User, *, on: bool) -> None:
    """Set every request for changes aside, or no longer."""
    row = session.get(ChangeRequestBypass, merge_request.id)
    if on and row is None:
        session.add(ChangeRequestBypass(merge_request_id=merge_request.id, user_id=user.id))
        add_system_note(session, merge_request, user, "bypassed reviews on this merge request")
    elif not on and row is not None:
        session.delete(row)
        add_system_note(session, merge_request, user, "removed the bypass on this merge request")
    session.flush()


def ask_again(instance: Instance, session: Session, merge_request: MergeRequest, reviewer: Reviewer, by: User) -> None:
    """Ask a reviewer to look again, and tell the webhooks so."""
    reviewer.state = "unreviewed"
    add_system_note(session, merge_request, by, f"requested review from @{reviewer.user.username}")
    session.flush()
    one = {"id": reviewer.user.id, "name": reviewer.user.name, "username": reviewer.user.username}
    facts = [one | {"state": "unreviewed", "re_requested": again} for again in (False, True)]
    changes = {"reviewers": {"previous": facts[:1], "current": facts[1:]}}
    announce_merge_request(instance, session, merge_request, by, "update", changes)


def _reviewer(session: Session, merge_request: MergeRequest, user: User) -> Reviewer | None:
    rows = select(Reviewer).where(Reviewer.merge_request_id == merge_request.id, Reviewer.user_id == user.id)
    return session.scalar(rows)


def _set_state(session: Session, merge_request: MergeRequest, user: User, state: str) -> None:
    if (reviewer := _reviewer(session, merge_request, user)) is not None:
        reviewer.state = state
