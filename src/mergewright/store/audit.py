"""The audit: each line carries the hash of the one before, and the last one is sealed with a key.

Whoever can write to the database but not to the folder of the key cannot change, remove, put in or move a line, nor cut
off the end or bring back an older copy, without `verify` finding it. Whoever has both can write another history: export
the audit to where they cannot reach.
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
    last = head or connection.execute(AUDIT.select().order_by(AUDIT.c.seq.desc()).limit(1)).first()
    seq, previous = (last.seq, last.hash) if last else (0, "")
    # An end that somebody changed or took away is never sealed again: `verify` goes on finding it.
    whole = last is None or (head is not None and _sealed(key(), head))
    kept = []
    for entry in entries:
        seq += 1
        body = _body(entry)
        digest = _digest(seq, previous, body)
        values = {"seq": seq, "at": entry.at, "project": entry.project, "iid": entry.iid, "body": body}
        connection.execute(AUDIT.insert().values(**values, previous=previous, hash=digest))
        kept.append(replace(entry, seq=seq, previous=previous, hash=digest))
        previous = digest
    sealed = {"seq": seq, "hash": previous, "seal": _seal(key(), seq, previous) if whole else ""}
    if head is None:
        connection.execute(HEAD.insert().values(id=1, **sealed))
    else:
        connection.execute(HEAD.update().where(HEAD.c.id == 1).values(**sealed))
    return kept


def verify(connection: sa.Connection, key: bytes | None, end: tuple[int, str] = (0, "")) -> AuditReport:
    """Walk the audit from its first line to its sealed end; `end` is a line of which somebody knows that it was there.

    Without a key nothing was ever written, or the key is lost: only an empty audit is whole then.
    """
    previous, number, known = "", 0, end == (0, "")
    rows = connection.execute(AUDIT.select().order_by(AUDIT.c.seq).execution_options(yield_per=500))
    for row in rows:
        if problem := _wrong(row, number + 1, previous):
            return AuditReport(number, problem)
        number, previous = number + 1, row.hash
        known = known or (number, previous) == end
    head = connection.execute(HEAD.select()).first()
    if key is None:
        return AuditReport(number, "the key that seals it is missing" if number or head else "")
    if head is None:
        return AuditReport(number, "the sealed end is missing" if number or not known else "")
    if not _sealed(key, head):
        return AuditReport(number, "the sealed end was changed, or the key is another one")
    if (head.seq, head.hash) != (number, previous):
        return AuditReport(number, f"the end was cut off: {head.seq} lines were sealed, {number} are there")
    if not known:
        return AuditReport(number, f"this is an older copy: line {end[0]} was there and is not, or is another one")
    return AuditReport(number)


def _wrong(row: sa.Row[Any], number: int, previous: str) -> str:
    """Say what is wrong with the row that should be this line; nothing for a good one."""
    if row.seq != number:
        return f"line {number} is missing: the next one is {row.seq}"
    if row.previous != previous:
        return f"line {number} does not follow the line before it"
    if row.hash != _digest(number, previous, row.body):
        return f"line {number} was changed"
    try:
        told = json.loads(row.body)
        same = (row.at, row.project, row.iid) == (told["at"], told["project"], told["iid"])
    except (ValueError, TypeError, KeyError):
        return f"line {number} was put in by somebody else"
    return "" if same else f"the columns of line {number} were changed"


def has_line(connection: sa.Connection, seq: int, digest: str) -> bool:
    """Whether a line is there with this hash; there always is a line 0."""
    query = sa.select(AUDIT.c.hash).where(AUDIT.c.seq == seq)
    return seq == 0 or connection.execute(query).scalar() == digest


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


def _sealed(key: bytes, head: sa.Row[Any]) -> bool:
    return hmac.compare_digest(str(head.seal).encode(), _seal(key, head.seq, head.hash).encode())


def _seal(key: bytes, seq: int, digest: str) -> str:
    return hmac.new(key, f"{seq}\n{digest}".encode(), hashlib.sha256).hexdigest()
