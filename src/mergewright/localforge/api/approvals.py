"""Approvals: giving, taking back, the rules in force and the project's settings."""

from sqlalchemy import select

from mergewright.localforge import access, approval_rules, approvals, drafts
from mergewright.localforge.approval_rules import RuleState
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.clock import now
from mergewright.localforge.errors import Refused, forbidden, not_found, unauthorized
from mergewright.localforge.router import Route
from mergewright.localforge.tables import ApprovalRule, ApprovalSettings, MergeRequest, User
from mergewright.localforge.wire.users import user_basic, users_by_id

SETTINGS = (
    "reset_approvals_on_push",
    "selective_code_owner_removals",
    "disable_overriding_approvers_per_merge_request",
    "merge_requests_author_approval",
    "merge_requests_disable_committers_approval",
    "require_password_to_approve",
)
MOST_REQUIRED = 100


def entity(call: Call, merge_request: MergeRequest) -> Wire:
    """Four keys on the free tier, everything on the others."""
    given = approval_rules.approvals(call.session, merge_request)
    me = call.user
    may = me is not None and approval_rules.may_approve(call.instance, call.session, merge_request, me)
    licensed = approval_rules.licensed(call.instance)
    found = approval_rules.states(call.session, merge_request) if licensed else []
    wire: Wire = {
        "user_has_approved": any(row.user_id == (me.id if me else 0) for row in given),
        "user_can_approve": may,
        "approved": all(state.approved for state in found) if licensed else bool(given),
        "approved_by": [{"user": user_basic(call.instance, row.user), "approved_at": row.created_at} for row in given],
    }
    if not licensed:
        return wire
    left = [state for state in found if not state.approved]
    required = sum(state.rule.approvals_required for state in found)
    return wire | {
        "id": merge_request.id,
        "iid": merge_request.iid,
        "project_id": merge_request.project_id,
        "title": merge_request.title,
        "description": merge_request.description,
        "state": merge_request.state,
        "created_at": merge_request.created_at,
        "updated_at": merge_request.updated_at,
        "merge_status": "can_be_merged",
        "approvals_required": required,
        "approvals_left": sum(state.left for state in left),
        "require_password_to_approve": False,
        "suggested_approvers": [],
        "approvers": [],
        "approver_groups": [],
        "approval_rules_left": [{"id": s.rule.id, "name": s.rule.name, "rule_type": s.rule.rule_type} for s in left],
        "has_approval_rules": bool(found),
        "merge_request_approvers_available": True,
        "multiple_approval_rules_available": True,
        "invalid_approvers_rules": [],
    }


def show(call: Call) -> Wire:
    return entity(call, call.merge_request())


def approve(call: Call) -> Wire:
    merge_request = call.merge_request()
    sha = call.params.text("sha")
    if sha and sha != merge_request.sha:
        raise Refused(409, {"message": f"SHA does not match HEAD of source branch: {merge_request.sha}"})
    if call.level < access.REPORTER:
        raise forbidden()
    if call.params.flag("publish_review"):
        drafts.publish_all(call.instance, call.session, merge_request, call.me)
    approvals.approve(call.instance, call.session, merge_request, call.me)
    return entity(call, merge_request)


def unapprove(call: Call) -> Wire:
    merge_request = call.merge_request()
    if not approvals.unapprove(call.instance, call.session, merge_request, call.me):
        raise not_found()
    return entity(call, merge_request)


def reset(call: Call) -> Wire:
    merge_request = call.merge_request()
    if not call.me.bot:
        raise unauthorized()
    approvals.reset(call.session, merge_request)
    return {"message": "202 Accepted"}


def _licensed(call: Call) -> None:
    if not approval_rules.licensed(call.instance):
        raise not_found()


def rule_wire(call: Call, rule: ApprovalRule) -> Wire:
    users = [user_basic(call.instance, user) for user in users_by_id(call.session, rule.user_ids)]
    return {
        "id": rule.id,
        "name": rule.name,
        "rule_type": rule.rule_type,
        "report_type": None,
        "eligible_approvers": users,
        "approvals_required": rule.approvals_required,
        "users": users,
        "groups": [],
        "contains_hidden_groups": False,
    }


def _state_wire(call: Call, state: RuleState) -> Wire:
    return rule_wire(call, state.rule) | {
        "eligible_approvers": [user_basic(call.instance, user) for user in state.eligible],
        "approved_by": [user_basic(call.instance, user) for user in state.approved_by],
        "source_rule": None,
        "approved": state.approved,
        "overridden": state.rule.merge_request_id is not None,
    }


def state(call: Call) -> Wire:
    merge_request = call.merge_request()
    _licensed(call)
    found = approval_rules.states(call.session, merge_request)
    return {
        "approval_rules_overwritten": any(one.rule.merge_request_id is not None for one in found),
        "rules": [_state_wire(call, one) for one in found],
    }


def _rules(call: Call) -> list[ApprovalRule]:
    """The rules that the path speaks of: a merge request's or the project's."""
    _licensed(call)
    if "iid" in call.names:
        merge_request = call.merge_request()
        rows = select(ApprovalRule).where(ApprovalRule.merge_request_id == merge_request.id)
    else:
        rows = select(ApprovalRule).where(
            ApprovalRule.project_id == call.project.id, ApprovalRule.merge_request_id.is_(None)
        )
    return list(call.session.scalars(rows.order_by(ApprovalRule.id)))


def index(call: Call) -> Answer:
    call.need_code()
    return call.items(_rules(call), lambda rule: rule_wire(call, rule))


def _rule(call: Call) -> ApprovalRule:
    number = call.number("rule_id", "Approval Rule")
    found = next((rule for rule in _rules(call) if rule.id == number), None)
    if found is None:
        raise not_found("Approval Rule")
    return found


def show_rule(call: Call) -> Wire:
    call.need_code()
    return rule_wire(call, _rule(call))


def _need_change(call: Call) -> None:
    _licensed(call)
    if "iid" not in call.names:
        return call.need(access.MAINTAINER)
    call.need(access.DEVELOPER)
    if approval_rules.settings_of(call.session, call.project.id).disable_overriding_approvers_per_merge_request:
        raise forbidden()


def _assign(call: Call, rule: ApprovalRule) -> None:
    params = call.params
    rule.name = params.text("name", rule.name)
    required = params.integer("approvals_required")
    if required is not None:
        if not 0 <= required <= MOST_REQUIRED:
            raise Refused(400, {"message": {"approvals_required": ["must be between 0 and 100"]}})
        rule.approvals_required = required
    named: list[int] = []
    if "user_ids" in params:
        named += params.integers("user_ids")
    if "usernames" in params:
        rows = select(User.id).where(User.username.in_(params.texts("usernames")))
        named += list(call.session.scalars(rows))
    if "user_ids" in params or "usernames" in params:
        rule.user_ids = sorted(set(named))


def create_rule(call: Call) -> Wire:
    _need_change(call)
    params = call.params
    rule = ApprovalRule(
        project_id=call.project.id,
        merge_request_id=call.merge_request().id if "iid" in call.names else None,
        source_rule_id=params.integer("approval_project_rule_id"),
        name=params.required("name"),
        rule_type=params.choice("rule_type", ("any_approver", "regular"), "regular"),
        approvals_required=0,
        user_ids=[],
    )
    params.required("approvals_required")
    if rule.rule_type == "any_approver" and any(one.rule_type == "any_approver" for one in _rules(call)):
        raise Refused(400, {"message": {"rule_type": ["any-approver for the project already exists"]}})
    _assign(call, rule)
    call.session.add(rule)
    call.session.flush()
    return rule_wire(call, rule)


def update_rule(call: Call) -> Wire:
    _need_change(call)
    rule = _rule(call)
    _assign(call, rule)
    return rule_wire(call, rule)


def delete_rule(call: Call) -> Answer:
    _need_change(call)
    call.session.delete(_rule(call))
    return Answer(status=204)


def _settings_wire(call: Call, row: ApprovalSettings) -> Wire:
    rules = [rule for rule in _rules(call) if rule.rule_type == "any_approver"]
    return {
        "approvals_before_merge": rules[0].approvals_required if rules else 0,
        **{name: getattr(row, name) for name in SETTINGS},
        "require_reauthentication_to_approve": row.require_password_to_approve,
        "approvers": [],
        "approver_groups": [],
    }


def show_settings(call: Call) -> Wire:
    call.need_code()
    _licensed(call)
    return _settings_wire(call, approval_rules.settings_of(call.session, call.project.id))


def change_settings(call: Call) -> Wire:
    call.need(access.MAINTAINER)
    _licensed(call)
    row = approval_rules.settings_of(call.session, call.project.id)
    for name in SETTINGS:
        value = call.params.flag(name)
        if value is not None:
            setattr(row, name, value)
    call.session.add(row)
    call.project.updated_at = now()
    return _settings_wire(call, row)


MERGE_REQUEST = "/projects/:id/merge_requests/:iid"
ROUTES = [
    Route("GET", f"{MERGE_REQUEST}/approvals", show),
    Route("POST", f"{MERGE_REQUEST}/approve", approve),
    Route("POST", f"{MERGE_REQUEST}/unapprove", unapprove),
    Route("PUT", f"{MERGE_REQUEST}/reset_approvals", reset, status=202),
    Route("GET", f"{MERGE_REQUEST}/approval_state", state),
    *(
        route
        for base in (MERGE_REQUEST, "/projects/:id")
        for route in (
            Route("GET", f"{base}/approval_rules", index),
            Route("POST", f"{base}/approval_rules", create_rule),
            Route("GET", f"{base}/approval_rules/:rule_id", show_rule),
            Route("PUT", f"{base}/approval_rules/:rule_id", update_rule),
            Route("DELETE", f"{base}/approval_rules/:rule_id", delete_rule),
        )
    ),
    Route("GET", "/projects/:id/approvals", show_settings),
    Route("POST", "/projects/:id/approvals", change_settings),
]
