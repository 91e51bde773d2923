"""Labels of a project."""

import re
from urllib.parse import unquote

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge import access
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import Refused, invalid, not_found
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Label
from mergewright.localforge.wire.projects import label_wire


def index(call: Call) -> Answer:
    query = select(Label).where(Label.project_id == call.project.id).order_by(Label.name)
    if search := call.params.text("search"):
        query = query.where(Label.name.contains(search, autoescape=True))
    return call.rows(query, lambda label: label_wire(call.session, label))


def find(call: Call, name: str) -> Label:
    query = select(Label).where(Label.project_id == call.project.id)
    by_name = call.session.scalar(query.where(Label.name == name))
    by_id = call.session.scalar(query.where(Label.id == int(name))) if name.isdecimal() and len(name) < 19 else None
    label = by_name or by_id
    if label is None:
        raise not_found("Label")
    return label


def show(call: Call) -> Wire:
    return label_wire(call.session, find(call, call.names["name"]))


def ensure(session: Session, project_id: int, names: list[str]) -> None:
    """Make the labels that are not there yet, as GitLab does when one is set on an issue."""
    if not names:
        return
    known = set(session.scalars(select(Label.name).where(Label.project_id == project_id, Label.name.in_(names))))
    for name in dict.fromkeys(names):
        if name not in known:
            session.add(Label(project_id=project_id, name=name))
    session.flush()


def _color(call: Call, default: str) -> str:
    color = call.params.text("color", default)
    if not re.fullmatch(r"#[0-9A-Fa-f]{3}(?:[0-9A-Fa-f]{3})?|[a-zA-Z]{3,20}", color):
        raise invalid(color=["must be a valid color code"])
    return color


def create(call: Call) -> Wire:
    call.need(access.REPORTER)
    name = call.params.required("name").strip()
    call.params.required("color")
    if call.session.scalar(select(Label).where(Label.project_id == call.project.id, Label.name == name)):
        raise Refused(409, {"message": "Label already exists"})
    label = Label(project_id=call.project.id, name=name, color=_color(call, ""))
    label.description = call.params.text("description") or None
    call.session.add(label)
    call.session.flush()
    return label_wire(call.session, label)


def update(call: Call) -> Wire:
    call.need(access.REPORTER)
    label = find(call, call.names.get("name") or unquote(call.params.required("name")))
    label.name = call.params.text("new_name") or label.name
    label.color = _color(call, label.color)
    label.description = call.params.text("description", label.description or "") or None
    return label_wire(call.session, label)


def delete(call: Call) -> Answer:
    call.need(access.REPORTER)
    call.session.delete(find(call, call.names["name"]))
    return Answer(status=204)


ROUTES = [
    Route("GET", "/projects/:id/labels", index),
    Route("POST", "/projects/:id/labels", create),
    Route("PUT", "/projects/:id/labels", update),
    Route("GET", "/projects/:id/labels/:name", show),
    Route("PUT", "/projects/:id/labels/:name", update),
    Route("DELETE", "/projects/:id/labels/:name", delete),
]
