"""Quick actions: lines of a note that are orders to the forge."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge import access, approval_rules, approvals
from mergewright.localforge.announce import announce_issue, announce_merge_request
from mergewright.localforge.call import Wire
from mergewright.localforge.clock import now
from mergewright.localforge.errors import Refused
from mergewright.localforge.instance import Instance
from mergewright.localforge.markdown import unread_lines
from mergewright.localforge.merge_requests import change_state, set_draft
from mergewright.localforge.mergeability import detailed_merge_status
from mergewright.localforge.merging import MergeOptions, accept
from mergewright.localforge.notes import Subject, add_system_note, close_issue, reopen_issue
from mergewright.localforge.reviewers import announce_reviewers, set_reviewers
from mergewright.localforge.tables import Label, MergeRequest, Project, User
from mergewright.localforge.wire.merge_requests import reviewers

_ORDER = re.compile(r"/(?P<name>[a-z_]+)(?:[ \t]+(?P<rest>.+))?")


@dataclass
class Commanded:
    """What is left of a note, and what its orders did."""

    text: str
    summary: list[str] = field(default_factory=list)
    changes: Wire = field(default_factory=dict)
    known: int = 0
    """Lines that were orders, whether or not they could be carried out."""


@dataclass(frozen=True, slots=True)
class _Scene:
    instance: Instance
    session: Session
    subject: Subject
    user: User
    level: int


def run_commands(instance: Instance, session: Session, subject: Subject, user: User, text: str) -> Commanded:
    """Carry out the orders of a note; what stands in code or a comment is none."""
    lines = text.split("\n")
    found = {number: order for number, line in enumerate(lines) if (order := _ORDER.fullmatch(line.strip()))}
    found = {number: order for number, order in found.items() if order["name"] in ACTIONS}
    if not found:
        return Commanded(text)
    project = session.get_one(Project, subject.project_id)
    scene = _Scene(instance, session, subject, user, access.access_level(session, project, user))
    done, kept = Commanded(""), []
    quoted = unread_lines(text)
    for number, line in enumerate(lines):
        order = found.get(number)
        if order is None or number in quoted:
            kept.append(line)
            continue
        done.known += 1
        try:
            done.summary.append(ACTIONS[order["name"]](scene, order["rest"] or "", done.changes))
        except Refused:
            done.summary.append(f"Could not apply {order['name']} command.")
    done.text = "\n".join(kept).strip() if done.known else text
    return done


def _merge_request(scene: _Scene) -> MergeRequest:
    if not isinstance(scene.subject, MergeRequest):
        raise Refused(400, {})
    return scene.subject


def _need(scene: _Scene, *, author: bool = True) -> None:
    if scene.level < access.DEVELOPER and not (author and scene.subject.author_id == scene.user.id):
        raise Refused(403, {})


def _approve(scene: _Scene, rest: str, changes: Wire) -> str:
    approvals.approve(scene.instance, scene.session, _merge_request(scene), scene.user)
    return "Approved the current merge request."


def _unapprove(scene: _Scene, rest: str, changes: Wire) -> str:
    if not approvals.unapprove(scene.instance, scene.session, _merge_request(scene), scene.user):
        raise Refused(404, {})
    return "Unapproved the current merge request."


def _request_changes(scene: _Scene, rest: str, changes: Wire) -> str:
    merge_request = _merge_request(scene)
    if not approvals.set_reviewer_state(scene.instance, scene.session, merge_request, scene.user, "requested_changes"):
        raise Refused(404, {})
    return "Changes requested to the current merge request."


def _submit_review(scene: _Scene, rest: str, changes: Wire) -> str:
    # Here, not above: publishing a draft carries out its orders in turn.
    from mergewright.localforge.drafts import publish_all

    publish_all(scene.instance, scene.session, _merge_request(scene), scene.user)
    if rest == "approve":
        return _approve(scene, "", changes)
    if rest == "requested_changes":
        return _request_changes(scene, "", changes)
    approvals.set_reviewer_state(scene.instance, scene.session, _merge_request(scene), scene.user, "reviewed")
    return "Submitted the current review."


def _draft(scene: _Scene, rest: str, changes: Wire) -> str:
    return _set_draft(scene, changes, draft=True)


def _ready(scene: _Scene, rest: str, changes: Wire) -> str:
    return _set_draft(scene, changes, draft=False)


def _set_draft(scene: _Scene, changes: Wire, *, draft: bool) -> str:
    merge_request = _merge_request(scene)
    _need(scene)
    if set_draft(scene.instance, scene.session, merge_request, scene.user, draft=draft):
        changes["wip_event"] = "draft" if draft else "ready"
    return f"Set the Draft status to {'draft' if draft else 'ready'}."


def _users(scene: _Scene, rest: str) -> list[User]:
    names = [name.removeprefix("@") for name in rest.replace(",", " ").split()]
    wanted = [scene.user.username if name == "me" else name for name in names]
    found = list(scene.session.scalars(select(User).where(User.username.in_(wanted))))
    if not found:
        raise Refused(404, {})
    return found


def _assign_reviewer(scene: _Scene, rest: str, changes: Wire) -> str:
    merge_request = _merge_request(scene)
    _need(scene)
    present = {row.user_id: row for row in reviewers(scene.session, merge_request)}
    users = _users(scene, rest)
    for user in users:
        if user.id in present:
            approvals.ask_again(scene.instance, scene.session, merge_request, present[user.id], scene.user)
    new = [user for user in users if user.id not in present]
    if new:
        # The free tier keeps the first: whoever is new comes before who was there.
        stay = [row.user for row in present.values()]
        wanted = [*stay, *new] if approval_rules.licensed(scene.instance) else new
        added = set_reviewers(scene.instance, scene.session, merge_request, wanted)
        if not added:
            raise Refused(404, {})
        announce_reviewers(scene.instance, scene.session, merge_request, scene.user, added)
    return f"Requested a review from {', '.join(f'@{user.username}' for user in users)}."


def _unassign_reviewer(scene: _Scene, rest: str, changes: Wire) -> str:
    merge_request = _merge_request(scene)
    _need(scene)
    present = [row.user for row in reviewers(scene.session, merge_request)]
    gone = [user.id for user in _users(scene, rest)] if rest else [user.id for user in present]
    stay = [user for user in present if user.id not in gone]
    if stay != present:
        set_reviewers(scene.instance, scene.session, merge_request, stay)
        names = " and ".join(f"@{user.username}" for user in present if user.id in gone)
        add_system_note(scene.session, merge_request, scene.user, f"removed review request for {names}")
    return "Removed the reviewers."


def _assign(scene: _Scene, rest: str, changes: Wire) -> str:
    users = _users(scene, rest)
    ids = list(dict.fromkeys([*scene.subject.assignee_ids, *(user.id for user in users)]))
    _set_assignees(scene, ids if approval_rules.licensed(scene.instance) else [users[0].id])
    names = " and ".join(f"@{user.username}" for user in users)
    add_system_note(scene.session, scene.subject, scene.user, f"assigned to {names}")
    return f"Assigned {names}."


def _unassign(scene: _Scene, rest: str, changes: Wire) -> str:
    gone = [user.id for user in _users(scene, rest)] if rest else list(scene.subject.assignee_ids)
    _set_assignees(scene, [user_id for user_id in scene.subject.assignee_ids if user_id not in gone])
    return "Removed the assignees."


def _set_assignees(scene: _Scene, ids: list[int]) -> None:
    if scene.level < access.REPORTER:
        raise Refused(403, {})
    before, scene.subject.assignee_ids = scene.subject.assignee_ids, ids
    _announce(scene, {"assignee_ids": {"previous": before, "current": ids}})


def _announce(scene: _Scene, changes: Wire) -> None:
    scene.subject.updated_at = now()
    if isinstance(scene.subject, MergeRequest):
        announce_merge_request(scene.instance, scene.session, scene.subject, scene.user, "update", changes)
    else:
        announce_issue(scene.instance, scene.session, scene.subject, scene.user, "update", changes)


def _label(scene: _Scene, rest: str, changes: Wire) -> str:
    names = _label_names(rest)
    rows = select(Label.name).where(Label.project_id == scene.subject.project_id, Label.name.in_(names))
    found = sorted(scene.session.scalars(rows))
    if not found:
        raise Refused(404, {})
    _set_labels(scene, list(dict.fromkeys([*scene.subject.labels, *found])))
    return f"Added {', '.join(f'~{name}' for name in found)}."


def _unlabel(scene: _Scene, rest: str, changes: Wire) -> str:
    gone = _label_names(rest) if rest else list(scene.subject.labels)
    _set_labels(scene, [name for name in scene.subject.labels if name not in gone])
    return f"Removed {', '.join(f'~{name}' for name in gone)}."


def _label_names(rest: str) -> list[str]:
    return [name.strip('"~ ') for name in re.findall(r'~?"[^"]+"|~?[^\s~]+', rest)]


def _set_labels(scene: _Scene, names: list[str]) -> None:
    if scene.level < access.REPORTER:
        raise Refused(403, {})
    before, scene.subject.labels = scene.subject.labels, names
    _announce(scene, {"labels": {"previous": before, "current": names}})


def _close(scene: _Scene, rest: str, changes: Wire) -> str:
    return _set_state(scene, changes, "close")


def _reopen(scene: _Scene, rest: str, changes: Wire) -> str:
    return _set_state(scene, changes, "reopen")


def _set_state(scene: _Scene, changes: Wire, event: str) -> str:
    subject = scene.subject
    changes["state_event"] = event
    if isinstance(subject, MergeRequest):
        _need(scene)
        change_state(scene.instance, scene.session, subject, scene.user, event)
        return f"{'Closed' if event == 'close' else 'Reopened'} this merge request."
    if scene.level < access.REPORTER and subject.author_id != scene.user.id:
        raise Refused(403, {})
    change = close_issue if event == "close" else reopen_issue
    change(scene.instance, scene.session, subject, scene.user)
    return f"{'Closed' if event == 'close' else 'Reopened'} this issue."


def _merge(scene: _Scene, rest: str, changes: Wire) -> str:
    """Merge at once, or once the pipeline has succeeded."""
    merge_request = _merge_request(scene)
    project = scene.session.get_one(Project, merge_request.project_id)
    if not access.may_merge(scene.session, project, scene.level, merge_request.target_branch):
        raise Refused(403, {})
    status = detailed_merge_status(scene.instance, scene.session, merge_request)
    if status == "ci_still_running":
        merge_request.merge_when_pipeline_succeeds, merge_request.merge_user_id = True, scene.user.id
        return "Scheduled to merge this merge request (Merge when checks pass)."
    if status != "mergeable":
        raise Refused(405, {})
    options = MergeOptions(squash=merge_request.squash, remove_source=merge_request.force_remove_source_branch)
    accept(scene.instance, scene.session, merge_request, scene.user, options)
    changes["merge"] = merge_request.sha
    return "Merged this merge request."


Action = Callable[[_Scene, str, Wire], str]
ACTIONS: dict[str, Action] = {
    "approve": _approve,
    "unapprove": _unapprove,
    "request_changes": _request_changes,
    "submit_review": _submit_review,
    "draft": _draft,
    "ready": _ready,
    "assign_reviewer": _assign_reviewer,
    "reviewer": _assign_reviewer,
    "request_review": _assign_reviewer,
    "unassign_reviewer": _unassign_reviewer,
    "remove_reviewer": _unassign_reviewer,
    "assign": _assign,
    "unassign": _unassign,
    "label": _label,
    "unlabel": _unlabel,
    "close": _close,
    "reopen": _reopen,
    "merge": _merge,
}
