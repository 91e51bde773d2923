"""Merge requests change: what the notes say of it, closing, reopening and merging."""

from mergewright.localforge import access, merging
from mergewright.localforge.announce import announce_merge_request
from mergewright.localforge.call import Call, Wire
from mergewright.localforge.errors import Refused, unauthorized
from mergewright.localforge.mergeability import detailed_merge_status, head_pipeline
from mergewright.localforge.merging import MergeOptions
from mergewright.localforge.notes import add_system_note, cross_reference
from mergewright.localforge.pushes import merge_request_pipeline
from mergewright.localforge.references import without_draft
from mergewright.localforge.router import Route
from mergewright.localforge.tables import MergeRequest
from mergewright.localforge.wire.ci import pipeline_wire
from mergewright.localforge.wire.merge_requests import merge_request_wire
from mergewright.localforge.wire.users import hook_user, users_by_id


def record_changes(call: Call, merge_request: MergeRequest, before: Wire, after: Wire) -> None:
    """Write the system notes of a change and tell the webhooks."""
    changed = {name for name in before if before[name] != after[name]}
    changes: Wire = {name: {"previous": before[name], "current": after[name]} for name in changed}
    for name in changed & {"assignees", "reviewers"}:
        more: Wire = {"state": "unreviewed", "re_requested": False} if name == "reviewers" else {}
        changes[name] = {
            side: [hook_user(user) | more for user in users_by_id(call.session, facts[name])]
            for side, facts in (("previous", before), ("current", after))
        }
    for body in _sentences(call, before, after, changed):
        add_system_note(call.session, merge_request, call.me, body)
    if changed & {"title", "description"}:
        cross_reference(call.session, merge_request, call.me, f"{merge_request.title}\n{merge_request.description}")
    announce_merge_request(call.instance, call.session, merge_request, call.me, "update", changes)


def _sentences(call: Call, before: Wire, after: Wire, changed: set[str]) -> list[str]:
    found = []
    if "draft" in changed:
        found.append(
            "marked this merge request as **draft**" if after["draft"] else "marked this merge request as **ready**"
        )
    if without_draft(before["title"]) != without_draft(after["title"]):
        found.append(f"changed title from **{before['title']}** to **{after['title']}**")
    if "description" in changed:
        found.append("changed the description")
    if "target_branch" in changed:
        found.append(f"changed target branch from `{before['target_branch']}` to `{after['target_branch']}`")
    for name, verb, undo in (
        ("assignees", "assigned to", "unassigned"),
        ("reviewers", "requested review from", "removed review request for"),
    ):
        added = _names(call, [i for i in after[name] if i not in before[name]])
        removed = _names(call, [i for i in before[name] if i not in after[name]])
        found += [f"{verb} {added}"] if added else []
        found += [f"{undo} {removed}"] if removed else []
    return found


def _names(call: Call, ids: list[int]) -> str:
    return " and ".join(f"@{user.username}" for user in users_by_id(call.session, ids))


def accept(call: Call) -> Wire:
    """Merge now, or when the pipeline succeeds."""
    merge_request, params = call.merge_request(), call.params
    if not access.may_merge(call.session, call.project, call.level, merge_request.target_branch):
        raise unauthorized()
    sha = params.text("sha")
    if sha and sha != merge_request.sha:
        raise Refused(409, {"message": f"SHA does not match HEAD of source branch: {merge_request.sha}"})
    status = detailed_merge_status(call.instance, call.session, merge_request)
    auto = params.flag("auto_merge", params.flag("merge_when_pipeline_succeeds", False))
    pipeline = head_pipeline(call.session, merge_request)
    if auto and status in {"ci_still_running", "mergeable"} and pipeline and pipeline.finished_at is None:
        merge_request.merge_when_pipeline_succeeds = True
        merge_request.merge_user_id = call.me.id
        return _entity(call, merge_request)
    if status == "conflict":
        raise Refused(422, {"message": "Branch cannot be merged"})
    if status != "mergeable":
        raise Refused(405, {"message": "405 Method Not Allowed"})
    remove = params.flag("should_remove_source_branch", merge_request.force_remove_source_branch)
    options = MergeOptions(
        message=params.text("merge_commit_message"),
        squash=params.flag("squash", merge_request.squash) is True,
        squash_message=params.text("squash_commit_message"),
        remove_source=remove is True,
    )
    merging.accept(call.instance, call.session, merge_request, call.me, options)
    return _entity(call, merge_request)


def _entity(call: Call, merge_request: MergeRequest) -> Wire:
    return merge_request_wire(call.instance, call.session, merge_request, level=call.level)


def cancel_auto_merge(call: Call) -> Wire:
    merge_request = call.merge_request()
    own = merge_request.author_id == call.me.id
    if not own and not access.may_merge(call.session, call.project, call.level, merge_request.target_branch):
        raise unauthorized()
    merge_request.merge_when_pipeline_succeeds, merge_request.merge_user_id = False, None
    return {"status": "success"}


def create_pipeline(call: Call) -> Wire:
    """Run the merge request's own pipeline again."""
    call.need(access.DEVELOPER)
    merge_request = call.merge_request()
    merge_request_pipeline(call.instance, call.session, merge_request, call.me)
    pipeline = head_pipeline(call.session, merge_request)
    if pipeline is None or pipeline.merge_request_id != merge_request.id:
        raise Refused(400, {"message": {"base": ["No stages / jobs for this pipeline."]}})
    return pipeline_wire(call.instance, call.project, pipeline)


ROUTES = [
    Route("PUT", "/projects/:id/merge_requests/:iid/merge", accept),
    Route("POST", "/projects/:id/merge_requests/:iid/cancel_merge_when_pipeline_succeeds", cancel_auto_merge),
    Route("POST", "/projects/:id/merge_requests/:iid/pipelines", create_pipeline),
]
