"""Members of a project. The forge knows no group members: `members/all` shows the same people."""

from sqlalchemy import select

from mergewright.localforge import access
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import Refused, forbidden, not_found
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Member, User
from mergewright.localforge.wire.users import member_wire

LEVELS = (5, 10, 15, 20, 30, 40, 50)


def index(call: Call) -> Answer:
    query = select(Member).join(User).where(Member.project_id == call.project.id).order_by(Member.id)
    if search := call.params.text("query"):
        query = query.where(User.username.contains(search, autoescape=True))
    return call.rows(query, lambda member: member_wire(call.instance, member))


def _member(call: Call) -> Member:
    member = call.session.scalar(
        select(Member).where(Member.project_id == call.project.id, Member.user_id == call.number("user_id", "Member"))
    )
    if member is None:
        raise not_found("Member")
    return member


def show(call: Call) -> Wire:
    return member_wire(call.instance, _member(call))


def _level(call: Call) -> int:
    call.params.required("access_level")
    level = call.params.integer("access_level") or 0
    if level not in LEVELS:
        raise Refused(400, {"error": "access_level does not have a valid value"})
    if level > call.level:
        raise forbidden()
    return level


def create(call: Call) -> Wire:
    call.need(access.MAINTAINER)
    level = _level(call)
    user_id = call.params.integer("user_id")
    user = call.session.get(User, user_id) if user_id else None
    if username := call.params.text("username"):
        user = call.session.scalar(select(User).where(User.username == username))
    if user is None:
        raise not_found("User")
    known = select(Member).where(Member.project_id == call.project.id, Member.user_id == user.id)
    if call.session.scalar(known):
        raise Refused(409, {"message": "Member already exists"})
    member = Member(project_id=call.project.id, user_id=user.id, access_level=level)
    call.session.add(member)
    call.session.flush()
    return member_wire(call.instance, member)


def update(call: Call) -> Wire:
    call.need(access.MAINTAINER)
    member = _member(call)
    if member.access_level > call.level:
        raise forbidden()
    member.access_level = _level(call)
    return member_wire(call.instance, member)


def delete(call: Call) -> Answer:
    member = _member(call)
    if member.user_id != call.me.id:
        call.need(access.MAINTAINER)
        if member.access_level > call.level:
            raise forbidden()
    call.session.delete(member)
    return Answer(status=204)


ROUTES = [
    Route("GET", "/projects/:id/members", index),
    Route("GET", "/projects/:id/members/all", index),
    Route("POST", "/projects/:id/members", create),
    Route("GET", "/projects/:id/members/:user_id", show),
    Route("GET", "/projects/:id/members/all/:user_id", show),
    Route("PUT", "/projects/:id/members/:user_id", update),
    Route("DELETE", "/projects/:id/members/:user_id", delete),
]
