"""Groups, as far as projects lie in them: the forge knows no group members.

Whoever is a member of all of a group's projects is shown as a member of the group, with the least of those roles.
"""

from collections.abc import Sequence

from sqlalchemy import select

from mergewright.localforge import access
from mergewright.localforge.call import Call, Wire
from mergewright.localforge.errors import not_found
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Member, Project, User
from mergewright.localforge.wire.projects import namespace_wire
from mergewright.localforge.wire.users import member_wire


def _projects(call: Call) -> Sequence[Project]:
    """Give a group's projects; a group of which the caller sees none does not exist."""
    path = call.names["id"]
    inside = Project.path_with_namespace.startswith(f"{path}/", autoescape=True)
    found = call.session.scalars(select(Project).where(inside).order_by(Project.id)).all()
    levels = ((one, access.access_level(call.session, one, call.user)) for one in found)
    if not any(access.can_see(one, call.user, level) for one, level in levels):
        raise not_found("Group")
    return found


def show(call: Call) -> Wire:
    first = _projects(call)[0]
    # As it is written, whatever letters it was asked for in.
    path = first.path_with_namespace[: len(call.names["id"])]
    name = path.rpartition("/")[2]
    return namespace_wire(call.instance, first) | {
        "full_path": path,
        "name": name,
        "path": name,
        "visibility": "private",
        "web_url": f"{call.instance.url}/groups/{path}",
    }


def member(call: Call) -> Wire:
    ids = [one.id for one in _projects(call)]
    user = call.session.get(User, call.number("user_id", "Member"))
    if user is None:
        raise not_found("Member")
    query = select(Member).where(Member.user_id == user.id, Member.project_id.in_(ids)).order_by(Member.access_level)
    found = call.session.scalars(query).all()
    if len(found) < len(ids):
        raise not_found("Member")
    return member_wire(call.instance, found[0])


ROUTES = [
    Route("GET", "/groups/:id", show),
    Route("GET", "/groups/:id/members/all/:user_id", member),
]
