"""GraphQL: who am I, how far are the reviewers, and the mutations of a review that REST does not have."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import func, select

from mergewright.localforge import access, approval_rules, approvals
from mergewright.localforge.call import Call, Wire
from mergewright.localforge.clock import now
from mergewright.localforge.errors import Refused, unauthorized
from mergewright.localforge.graphql import GraphQLError, Selection, parse
from mergewright.localforge.merge_requests import set_draft
from mergewright.localforge.references import is_draft
from mergewright.localforge.reviewers import announce_reviewers, set_reviewers
from mergewright.localforge.router import Route
from mergewright.localforge.tables import MergeRequest, Project, Reviewer, User
from mergewright.localforge.wire.merge_requests import reviewers

Resolver = Callable[[Call, Mapping[str, Any]], Any]
HIDDEN = (
    "The resource that you are attempting to access does not exist or you don't have permission to perform this action"
)


def execute(call: Call) -> Wire:
    """Answer a document; what goes wrong stands in `errors`, with the status 200."""
    variables = call.params.values.get("variables") or {}
    saved = call.session.begin_nested()
    try:
        if isinstance(variables, str):
            variables = json.loads(variables)
        if not isinstance(variables, dict):
            raise GraphQLError("variables is no object")
        name = str(call.params.values.get("operationName") or "")
        operation = parse(call.params.required("query"), dict(variables), name=name)
        resolvers = MUTATIONS if operation.kind == "mutation" else QUERIES
        if operation.kind == "mutation" and call.user is None:
            raise unauthorized()
        data = {one.key: _resolved(call, one, resolvers) for one in operation.selections}
    except (GraphQLError, ValueError) as error:
        # What is answered with an error has changed nothing.
        saved.rollback()
        return {"errors": [{"message": str(error)}]}
    return {"data": data}


def _resolved(call: Call, selection: Selection, resolvers: Mapping[str, Resolver]) -> Any:
    if selection.name not in resolvers:
        raise GraphQLError(f"Field '{selection.name}' doesn't exist")
    return _shaped(call, resolvers[selection.name](call, selection.arguments), selection)


def _shaped(call: Call, value: Any, selection: Selection) -> Any:
    """Keep of a value what was asked for; a part may be a function that only then works it out."""
    if value is None or not selection.selections:
        return value
    if isinstance(value, list):
        return [_shaped(call, one, selection) for one in value]
    shaped = {}
    for one in selection.selections:
        if one.name not in value:
            raise GraphQLError(f"Field '{one.name}' doesn't exist on '{selection.name}'")
        inner = value[one.name]
        shaped[one.key] = _shaped(call, inner(call, one.arguments) if callable(inner) else inner, one)
    return shaped


def _user(user: User) -> Wire:
    return {
        "id": f"gid://gitlab/User/{user.id}",
        "username": user.username,
        "name": user.name,
        "state": "active",
        "active": True,
        "bot": user.bot,
    }


def _reviewer(call: Call, merge_request: MergeRequest, row: Reviewer) -> Wire:
    given = {one.user_id for one in approval_rules.approvals(call.session, merge_request)}
    interaction = {
        "reviewState": row.state.upper(),
        "approved": row.user_id in given,
        "reviewed": row.state != "unreviewed",
    }
    return _user(row.user) | {"mergeRequestInteraction": interaction}


def _merge_request(call: Call, row: MergeRequest) -> Wire:
    return {
        "id": f"gid://gitlab/MergeRequest/{row.id}",
        "iid": str(row.iid),
        "title": row.title,
        "draft": is_draft(row.title),
        "state": row.state,
        "diffHeadSha": row.sha,
        "approved": approval_rules.approved(call.instance, call.session, row),
        "reviewers": {"nodes": [_reviewer(call, row, one) for one in reviewers(call.session, row)]},
    }


def _current_user(call: Call, arguments: Mapping[str, Any]) -> Wire | None:
    return _user(call.user) if call.user else None


def _project(call: Call, arguments: Mapping[str, Any]) -> Wire | None:
    row = _visible(call, str(arguments.get("fullPath")))
    if row is None:
        return None

    def merge_request(call: Call, arguments: Mapping[str, Any]) -> Wire | None:
        found = _by_iid(call, row, arguments.get("iid"))
        return _merge_request(call, found) if found else None

    return {
        "id": f"gid://gitlab/Project/{row.id}",
        "fullPath": row.path_with_namespace,
        "name": row.name,
        "mergeRequest": merge_request,
    }


def _visible(call: Call, path: str) -> Project | None:
    row = call.session.scalar(select(Project).where(func.lower(Project.path_with_namespace) == path.lower()))
    if row is None or not access.can_read_code(row, call.user, access.access_level(call.session, row, call.user)):
        return None
    return row


def _by_iid(call: Call, project: Project, iid: object) -> MergeRequest | None:
    if not str(iid).isdecimal() or len(str(iid)) > 9:
        return None
    rows = select(MergeRequest).where(MergeRequest.project_id == project.id, MergeRequest.iid == int(str(iid)))
    return call.session.scalar(rows)


def _mutation(change: Callable[[Call, MergeRequest, Mapping[str, Any]], list[str]], *, level: int) -> Resolver:
    """Find the merge request that a mutation is about, check the right, and answer as all of them do."""

    def resolver(call: Call, arguments: Mapping[str, Any]) -> Wire:
        given = arguments.get("input")
        if not isinstance(given, dict):
            raise GraphQLError("Field is missing required arguments: input")
        project = _visible(call, str(given.get("projectPath")))
        row = _by_iid(call, project, given.get("iid")) if project else None
        if project is None or row is None:
            raise GraphQLError(HIDDEN)
        if access.access_level(call.session, project, call.me) < level:
            raise GraphQLError(HIDDEN)
        try:
            errors = change(call, row, given)
        except Refused as refused:
            errors = [str(refused.body.get("message") or refused.body)]
        row.updated_at = now()
        return {
            "mergeRequest": _merge_request(call, row),
            "errors": errors,
            "clientMutationId": given.get("clientMutationId"),
        }

    return resolver


def _request_changes(call: Call, row: MergeRequest, given: Mapping[str, Any]) -> list[str]:
    done = approvals.set_reviewer_state(call.instance, call.session, row, call.me, "requested_changes")
    return [] if done else ["Reviewer not found"]


def _destroy_requested(call: Call, row: MergeRequest, given: Mapping[str, Any]) -> list[str]:
    if not approval_rules.licensed(call.instance):
        return ["Invalid license"]
    done = approvals.withdraw_request(call.session, row, call.me)
    return [] if done else ["User has not requested changes for this merge request"]


def _rereview(call: Call, row: MergeRequest, given: Mapping[str, Any]) -> list[str]:
    found = re.fullmatch(r"gid://gitlab/User/(\d{1,18})", str(given.get("userId")))
    rows = [one for one in reviewers(call.session, row) if found and one.user_id == int(found[1])]
    if not rows:
        return ["Reviewer not found"]
    approvals.ask_again(call.instance, call.session, row, rows[0], call.me)
    return []


def _set_reviewers(call: Call, row: MergeRequest, given: Mapping[str, Any]) -> list[str]:
    names = [str(name) for name in given.get("reviewerUsernames") or ()]
    mode = given.get("operationMode", "REPLACE")
    if mode not in {"REPLACE", "APPEND", "REMOVE"}:
        raise GraphQLError("operationMode has an invalid value")
    present = {one.user.username: one for one in reviewers(call.session, row)}
    keep = [name for name in present if (name in names) != (mode == "REMOVE") or (mode == "APPEND")]
    wanted = keep if mode == "REMOVE" else list(dict.fromkeys([*keep, *names]))
    if mode == "APPEND" and not approval_rules.licensed(call.instance):
        wanted = wanted[-1:]
    users = {user.username: user for user in call.session.scalars(select(User).where(User.username.in_(wanted)))}
    asked = [users[name] for name in wanted if name in users]
    added = set_reviewers(call.instance, call.session, row, asked)
    announce_reviewers(call.instance, call.session, row, call.me, added)
    return []


def _set_draft(call: Call, row: MergeRequest, given: Mapping[str, Any]) -> list[str]:
    set_draft(call.instance, call.session, row, call.me, draft=given.get("draft") is True)
    return []


def _update(call: Call, row: MergeRequest, given: Mapping[str, Any]) -> list[str]:
    if "overrideRequestedChanges" in given:
        project = call.session.get_one(Project, row.project_id)
        level = access.access_level(call.session, project, call.me)
        if not approval_rules.licensed(call.instance):
            return ["Invalid license"]
        if not access.may_merge(call.session, project, level, row.target_branch):
            raise GraphQLError(HIDDEN)
        approvals.bypass(call.session, row, call.me, on=given["overrideRequestedChanges"] is True)
    return []


QUERIES: dict[str, Resolver] = {"currentUser": _current_user, "project": _project}
MUTATIONS: dict[str, Resolver] = {
    "mergeRequestRequestChanges": _mutation(_request_changes, level=access.DEVELOPER),
    "mergeRequestDestroyRequestedChanges": _mutation(_destroy_requested, level=access.DEVELOPER),
    "mergeRequestReviewerRereview": _mutation(_rereview, level=access.DEVELOPER),
    "mergeRequestSetReviewers": _mutation(_set_reviewers, level=access.DEVELOPER),
    "mergeRequestSetDraft": _mutation(_set_draft, level=access.DEVELOPER),
    "mergeRequestUpdate": _mutation(_update, level=access.DEVELOPER),
}
ROUTES = [
    Route("POST", "/graphql", execute, status=200, public=True),
]
