"""What a merge request's approvals and requests for changes amount to under the rules in force."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from mergewright.localforge import access
from mergewright.localforge.instance import Instance
from mergewright.localforge.tables import (
    ApprovalRow,
    ApprovalRule,
    ApprovalSettings,
    ChangeRequest,
    ChangeRequestBypass,
    Member,
    MergeRequest,
    Project,
    User,
)


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule with what has been done towards it."""

    rule: ApprovalRule
    approved_by: tuple[User, ...]
    eligible: tuple[User, ...]

    @property
    def approved(self) -> bool:
        return len(self.approved_by) >= self.rule.approvals_required

    @property
    def left(self) -> int:
        return max(self.rule.approvals_required - len(self.approved_by), 0)


def licensed(instance: Instance) -> bool:
    """Whether rules and requests for changes have any force."""
    return instance.settings.tier != "free"


def settings_of(session: Session, project_id: int) -> ApprovalSettings:
    """A project's settings, made with GitLab's defaults where nobody has set any."""
    row = session.get(ApprovalSettings, project_id)
    if row is None:
        row = ApprovalSettings(
            project_id=project_id,
            reset_approvals_on_push=True,
            selective_code_owner_removals=False,
            disable_overriding_approvers_per_merge_request=False,
            merge_requests_author_approval=False,
            merge_requests_disable_committers_approval=False,
            require_password_to_approve=False,
            only_allow_merge_if_all_status_checks_passed=False,
        )
    return row


def approvals(session: Session, merge_request: MergeRequest) -> list[ApprovalRow]:
    rows = select(ApprovalRow).where(ApprovalRow.merge_request_id == merge_request.id).order_by(ApprovalRow.id)
    return list(session.scalars(rows))


def rules_of(session: Session, merge_request: MergeRequest) -> list[ApprovalRule]:
    """The rules in force: the merge request's own where it has any and may have them, else its project's."""
    rows = select(ApprovalRule).where(
        ApprovalRule.project_id == merge_request.project_id,
        or_(ApprovalRule.merge_request_id == merge_request.id, ApprovalRule.merge_request_id.is_(None)),
    )
    found = list(session.scalars(rows.order_by(ApprovalRule.id)))
    own = [rule for rule in found if rule.merge_request_id is not None]
    if own and not settings_of(session, merge_request.project_id).disable_overriding_approvers_per_merge_request:
        return own
    return [rule for rule in found if rule.merge_request_id is None]


def developers(session: Session, project_id: int) -> list[User]:
    """Everybody who could approve as anybody."""
    rows = select(User).join(Member, Member.user_id == User.id)
    rows = rows.where(Member.project_id == project_id, Member.access_level >= access.DEVELOPER)
    return list(session.scalars(rows.order_by(User.id)))


def states(session: Session, merge_request: MergeRequest) -> list[RuleState]:
    """Each rule in force with the approvals that count in it."""
    rules = rules_of(session, merge_request)
    if not rules:
        return []
    given = [row.user for row in approvals(session, merge_request)]
    anybody = developers(session, merge_request.project_id)
    found = []
    for rule in rules:
        named = [user for user in anybody if user.id in rule.user_ids]
        # More approvals than there are approvers could never be met: then everybody's counts.
        open_to_all = rule.rule_type == "any_approver" or rule.approvals_required > len(named)
        counted = given if open_to_all else [user for user in given if user.id in rule.user_ids]
        found.append(RuleState(rule, tuple(counted), tuple(anybody if rule.rule_type == "any_approver" else named)))
    return found


def approved(instance: Instance, session: Session, merge_request: MergeRequest) -> bool:
    """Whether every rule is met; on the free tier, whether anybody has approved at all."""
    if not licensed(instance):
        return bool(approvals(session, merge_request))
    return all(state.approved for state in states(session, merge_request))


def may_ask(instance: Instance, session: Session, merge_request: MergeRequest, user: User) -> bool:
    """Whether a user's verdict counts: Developers', and from Reporter on of those whom a rule names."""
    project = session.get_one(Project, merge_request.project_id)
    named = any(user.id in rule.user_ids for rule in rules_of(session, merge_request)) if licensed(instance) else False
    level = access.access_level(session, project, user)
    return level >= (access.REPORTER if named else access.DEVELOPER)


def may_approve(instance: Instance, session: Session, merge_request: MergeRequest, user: User) -> bool:
    """Whose verdict counts may, once; the author may only where the project lets authors."""
    project = session.get_one(Project, merge_request.project_id)
    settings = settings_of(session, project.id)
    if not may_ask(instance, session, merge_request, user):
        return False
    if any(row.user_id == user.id for row in approvals(session, merge_request)):
        return False
    if merge_request.author_id == user.id and not settings.merge_requests_author_approval:
        return False
    if settings.merge_requests_disable_committers_approval and licensed(instance):
        return user.email not in _committers(instance, project, merge_request)
    return True


def _committers(instance: Instance, project: Project, merge_request: MergeRequest) -> set[str]:
    repository = instance.repository(project)
    commits = repository.log(merge_request.sha, f"^{merge_request.base_sha}", limit=1_000)
    return {commit.committer_email for commit in commits}


def changes_requested(instance: Instance, session: Session, merge_request: MergeRequest) -> bool:
    """Whether a request for changes stands in the way of a merge."""
    if not licensed(instance):
        return False
    bypassed = exists().where(ChangeRequestBypass.merge_request_id == merge_request.id)
    rows = select(ChangeRequest.id).where(ChangeRequest.merge_request_id == merge_request.id, ~bypassed)
    return session.scalar(rows.limit(1)) is not None


def requests(session: Session, merge_request: MergeRequest) -> Sequence[ChangeRequest]:
    rows = select(ChangeRequest).where(ChangeRequest.merge_request_id == merge_request.id).order_by(ChangeRequest.id)
    return list(session.scalars(rows))


def own(merge_request: MergeRequest, user: User) -> tuple[ColumnElement[bool], ...]:
    return ChangeRequest.merge_request_id == merge_request.id, ChangeRequest.user_id == user.id
