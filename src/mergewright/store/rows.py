"""The tables as SQLAlchemy knows them, and how their rows become sessions and events."""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from mergewright.domain.errors import NotFound
from mergewright.domain.session import Event, EventKind, Session, Status, Subject

_tables = sa.MetaData()

SESSIONS = sa.Table(
    "sessions",
    _tables,
    *(sa.Column(name, sa.Text) for name in ("id", "flow", "subject", "goal", "actor", "model", "status", "reason")),
    sa.Column("project", sa.Text),
    sa.Column("number", sa.BigInteger),
    sa.Column("turn", sa.Integer),
    sa.Column("inputs", sa.Text),
    sa.Column("created_at", sa.Double),
    sa.Column("updated_at", sa.Double),
    sa.Column("last_seq", sa.Integer),
)

EVENTS = sa.Table(
    "events",
    _tables,
    sa.Column("session", sa.Text),
    sa.Column("seq", sa.Integer),
    sa.Column("at", sa.Double),
    sa.Column("turn", sa.Integer),
    *(sa.Column(name, sa.Text) for name in ("kind", "component", "data")),
)

CLAIMS = sa.Table(
    "claims",
    _tables,
    *(sa.Column(name, sa.Text) for name in ("session", "token", "process")),
    sa.Column("heartbeat", sa.Double),
)

Row = sa.Row[Any]


def encode_json(value: Mapping[str, Any]) -> str:
    """Write JSON in plain ASCII, so that no odd character of a tool's output can be refused by a database."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def storable(text: str) -> str:
    """Spell out what some database refuses in a text: half characters of undecodable output, and NUL."""
    return text.encode(errors="backslashreplace").decode().replace("\0", "\\x00")


def session_values(session: Session) -> dict[str, Any]:
    """Give a session's columns, without its number and the counter of its events."""
    return {
        "id": session.id,
        "flow": session.flow,
        "subject": str(session.subject),
        "project": session.subject.project,
        "goal": session.goal,
        "actor": session.actor,
        "model": session.model,
        "status": session.status.value,
        "reason": session.reason,
        "turn": session.turn,
        "inputs": encode_json(session.inputs),
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }


def session_from(row: Row) -> Session:
    """Read a session from its row."""
    return Session(
        id=row.id,
        flow=row.flow,
        subject=Subject.read(row.subject),
        goal=row.goal,
        actor=row.actor,
        model=row.model,
        status=Status(row.status),
        reason=row.reason,
        turn=row.turn,
        inputs=json.loads(row.inputs),
        created_at=row.created_at,
        updated_at=row.updated_at,
        number=row.number,
    )


def event_from(row: Row) -> Event:
    """Read an event from its row."""
    return Event(row.session, row.seq, row.at, row.turn, EventKind(row.kind), row.component, json.loads(row.data))


def read_row(connection: sa.Connection, session_id: str) -> Row:
    """Read a session's row by its whole id; raises NotFound."""
    row = connection.execute(SESSIONS.select().where(SESSIONS.c.id == session_id)).first()
    if row is None:
        raise unknown(session_id)
    return row


def unknown(session_id: str) -> NotFound:
    """Say that there is no such session, and how to see those that there are."""
    return NotFound(f"There is no session `{session_id}`", hint="mergewright sessions list")
