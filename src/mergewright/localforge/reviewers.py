"""Who is asked to review a merge request."""

from collections.abc import Iterable

from sqlalchemy.orm import Session

from mergewright.localforge import access
from mergewright.localforge.announce import announce_merge_request
from mergewright.localforge.approval_rules import licensed
from mergewright.localforge.instance import Instance
from mergewright.localforge.notes import add_system_note
from mergewright.localforge.tables import MergeRequest, Project, Reviewer, User
from mergewright.localforge.wire.merge_requests import reviewers


def set_reviewers(
    instance: Instance, session: Session, merge_request: MergeRequest, wanted: Iterable[User]
) -> list[User]:
    """Make these the reviewers and return the new ones; who stays keeps their state, the free tier keeps one."""
    project = session.get_one(Project, merge_request.project_id)
    users = {
        user.id: user
        for user in wanted
        if access.can_read_code(project, user, access.access_level(session, project, user))
    }
    kept = list(users.values()) if licensed(instance) else list(users.values())[:1]
    present = {row.user_id: row for row in reviewers(session, merge_request)}
    for user_id, row in present.items():
        if all(user.id != user_id for user in kept):
            session.delete(row)
    added = [user for user in kept if user.id not in present]
    for user in added:
        session.add(Reviewer(merge_request_id=merge_request.id, user_id=user.id, state="unreviewed"))
    session.flush()
    return added


def announce_reviewers(
    instance: Instance, session: Session, merge_request: MergeRequest, by: User, added: list[User]
) -> None:
    """Say who was asked, in a note of the forge and to the webhooks."""
    if not added:
        return
    people = " and ".join(f"@{user.username}" for user in added)
    add_system_note(session, merge_request, by, f"requested review from {people}")
    new = {user.id for user in added}
    facts = [
        {"id": row.user.id, "name": row.user.name, "username": row.user.username}
        | {"state": row.state, "re_requested": False}
        for row in reviewers(session, merge_request)
    ]
    changes = {"reviewers": {"previous": [one for one in facts if one["id"] not in new], "current": facts}}
    announce_merge_request(instance, session, merge_request, by, "update", changes)
