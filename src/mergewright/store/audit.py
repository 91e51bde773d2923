"""The audit: each line carries the hash of the one before, and the last one is sealed with a key.

Whoever can write to the database but not read the key cannot change, remove, put in or move a line, nor cut off the
end, without `verify` finding it. Whoever has both can write another history: export the audit where they cannot reach.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import sqlalchemy as sa

from mergewright.domain.review import AuditEntry
from mergewright.domain.session import JSON
from mergewright.store import codec
from mergewright.store.database import alone

_tables = sa.MetaData()
AUDIT = sa.Table(
    "audit",
    _tables,
    sa.Column("seq", sa.BigInteger),
    sa.Column("at", sa.Double),
    sa.Column("iid", sa.Integer),
    *(sa.Column(name, sa.Text) for name in ("project", "body", "previous", "hash")),
)
HEAD = sa.Table(
    "audit_head",
    _tables,
    sa.Column("id", sa.Integer),
    sa.Column("seq", sa.BigInteger),
    *(sa.Column(name, sa.Text) for name in ("hash", "seal")),
)
ADDING = 760322
_CHAIN = frozenset({"seq", "previous", "hash"})


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a walk over the audit found."""

    entries: int
    problem: str = ""
    """The first thing that is wrong, in a sentence; empty when the audit is whole."""


def add(connection: sa.Connection, key: Callable[[], bytes], entries: Sequence[AuditEntry]) -> list[AuditEntry]:
    """Append lines, in the caller's transaction."""
    if not entries:
        return []
    alone(connection, ADDING)
    head = connection.execute(HEAD.select()).first()
    seq, previous = (head.seq, head.hash) if head else (0, "")
    kept = []
    for entry in entries:
        seq += 1
        body = _body(entry)
        digest = _digest(seq, previous, body)
        values = {"seq": seq, "at": entry.at, "project": entry.project, "iid": entry.iid, "body": body}
        connection.execute(AUDIT.insert().values(**values, previous=previous, hash=digest))
        kept.append(replace(entry, seq=seq, previous=previous, hash=digest))
        previous = digest
    sealed = {"seq": seq, "hash": previous, "seal": _seal(key(), seq, previous)}
    if head is None:
        connection.execute(HEAD.insert().values(id=1, **sealed))
    else:
        connection.execute(HEAD.update().where(HEAD.c.id == 1).values(**sealed))
    return kept


def verify(connection: sa.Connection, key: bytes) -> AuditReport:
    """Walk the audit from its first line to its sealed end."""
    previous, number = "", 0
    rows = connection.execute(AUDIT.select().order_by(AUDIT.c.seq).execution_options(yield_per=500))
    for row in rows:
        if row.seq != number + 1:
            return AuditReport(number, f"line {number + 1} is missing: the next one is {row.seq}")
        number += 1
        if row.previous != previous:
            return AuditReport(number, f"line {number} does not follow the line before it")
        told = json.loads(row.body)
        if row.hash != _digest(row.seq, row.previous, row.body):
            return AuditReport(number, f"line {number} was changed")
        if (row.at, row.project, row.iid) != (told["at"], told["project"], told["iid"]):
            return AuditReport(number, f"the columns of line {number} were changed")
        previous = row.hash
    head = connection.execute(HEAD.select()).first()
    if head is None:
        return AuditReport(number, "the sealed end is missing" if number else "")
    if not hmac.compare_digest(head.seal, _seal(key, head.seq, head.hash)):
        return AuditReport(number, "the sealed end was changed, or the key is another one")
    if (head.seq, head.hash) != (number, previous):
        return AuditReport(number, f"the end was cut off: {head.seq} lines were sealed, {number} are there")
    return AuditReport(number)


def entries_from(rows: Iterable[sa.Row[Any]]) -> list[AuditEntry]:
    """Read lines from their rows."""
    return [
        replace(codec.read(AuditEntry, row.body), seq=row.seq, previous=row.previous, hash=row.hash) for row in rows
    ]


def _body(entry: AuditEntry) -> str:
    value: JSON = json.loads(codec.write(entry))
    told = {one.name: value[one.name] for one in fields(entry) if one.name not in _CHAIN}
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def _digest(seq: int, previous: str, body: str) -> str:
    return hashlib.sha256(f"{seq}\n{previous}\n{body}".encode()).hexdigest()


def _seal(key: bytes, seq: int, digest: str) -> str:
    return hmac.new(key, f"{seq}\n{digest}".encode(), hashlib.sha256).hexdigest()
