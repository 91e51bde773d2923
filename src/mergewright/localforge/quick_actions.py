"""Quick actions: lines of a note that are orders to the forge."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge import access, approval_rules, approvals
from mergewright.localforge.call import Wire
from mergewright.localforge.clock import now
from mergewright.localforge.errors import Refused
from mergewright.localforge.instance import Instance
from mergewright.localforge.merge_requests import set_draft
from mergewright.localforge.notes import Subject, add_system_note
from mergewright.localforge.reviewers import announce_reviewers, set_reviewers
from mergewright.localforge.tables import Issue, MergeRequest, Project, User
from mergewright.localforge.wire.merge_requests import reviewers

_LINE = re.compile(r"\s*/(?P<name>[a-z_]+)(?:[ \t]+(?P<rest>\S.*?))?\s*")
_FENCE = re.compile(r"\s{0,3}(?:```|~~~)")


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
    """Carry out the orders of a note; what stands in code is none."""
    project = session.get_one(Project, subject.project_id)
    scene = _Scene(instance, session, subject, user, access.access_level(session, project, user))
    done, kept, fenced = Commanded(""), [], False
    for line in text.split("\n"):
        if _FENCE.match(line):
            fenced = not fenced
        found = None if fenced else _LINE.fullmatch(line)
        action = ACTIONS.get(found["name"]) if found else None
        if found is None or action is None:
            kept.append(line)
            continue
        done.known += 1
        try:
            done.summary.append(action(scene, found["rest"] or "", done.changes))
        except Refused:
            done.summary.append(f"Could not apply {found['name']} command.")
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


def _labels(scene: _Scene, rest: str, *, on: bool) -> str:
    if scene.level < access.REPORTER:
        raise Refused(403, {})
    names = [name.strip('"~ ') for name in re.findall(r'~?"[^"]+"|~?[^\s~]+', rest)]
    kept = [label for label in scene.subject.labels if label not in names]
    scene.subject.labels = [*kept, *names] if on else kept
    return f"{'Added' if on else 'Removed'} {', '.join(names)}."


def _label(scene: _Scene, rest: str, changes: Wire) -> str:
    return _labels(scene, rest, on=True)


def _unlabel(scene: _Scene, rest: str, changes: Wire) -> str:
    return _labels(scene, rest, on=False)


def _close(scene: _Scene, rest: str, changes: Wire) -> str:
    _need(scene)
    if scene.subject.state == "opened":
        scene.subject.state, scene.subject.updated_at = "closed", now()
        changes["state_event"] = "close"
    return f"Closed this {'issue' if isinstance(scene.subject, Issue) else 'merge request'}."


def _reopen(scene: _Scene, rest: str, changes: Wire) -> str:
    _need(scene)
    if scene.subject.state == "closed":
        scene.subject.state, scene.subject.updated_at = "opened", now()
        changes["state_event"] = "reopen"
    return f"Reopened this {'issue' if isinstance(scene.subject, Issue) else 'merge request'}."


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
    "label": _label,
    "unlabel": _unlabel,
    "close": _close,
    "reopen": _reopen,
}
