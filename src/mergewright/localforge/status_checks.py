"""External status checks: who is asked outside, and what they answered for the head of a merge request."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.approval_rules import settings_of
from mergewright.localforge.instance import Instance
from mergewright.localforge.tables import MergeRequest, StatusCheck, StatusCheckResponse

PATIENCE = 120.0
"""Seconds after which a check that said `pending` has failed."""


def checks_of(session: Session, project_id: int) -> Sequence[StatusCheck]:
    rows = select(StatusCheck).where(StatusCheck.project_id == project_id).order_by(StatusCheck.id)
    return list(session.scalars(rows))


def status_of(session: Session, check: StatusCheck, merge_request: MergeRequest) -> str:
    """The newest answer for the head: `pending`, `passed` or `failed`; without one, pending."""
    rows = select(StatusCheckResponse).where(
        StatusCheckResponse.status_check_id == check.id,
        StatusCheckResponse.merge_request_id == merge_request.id,
        StatusCheckResponse.sha == merge_request.sha,
    )
    newest = session.scalar(rows.order_by(StatusCheckResponse.id.desc()).limit(1))
    if newest is None:
        return "pending"
    if newest.status == "pending":
        age = datetime.now(UTC) - datetime.fromisoformat(newest.created_at)
        return "failed" if age.total_seconds() > PATIENCE else "pending"
    return newest.status


def must_pass(instance: Instance, session: Session, merge_request: MergeRequest) -> bool:
    """Whether a check that has not passed stands in the way of a merge."""
    if instance.settings.tier != "ultimate":
        return False
    if not settings_of(session, merge_request.project_id).only_allow_merge_if_all_status_checks_passed:
        return False
    checks = checks_of(session, merge_request.project_id)
    return any(status_of(session, check, merge_request) != "passed" for check in checks)
