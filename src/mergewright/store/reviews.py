"""Reviews, findings and policies in the database, each change with its line of the audit in one transaction."""

import asyncio
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from mergewright.domain.errors import Conflict, NotFound
from mergewright.domain.review import AuditEntry, Finding, Review, ReviewStore, heed
from mergewright.domain.session import JSON
from mergewright.store import codec
from mergewright.store.audit import AUDIT, AuditReport, add, entries_from, has_line, verify
from mergewright.store.database import alone
from mergewright.store.keys import read_end, read_key, write_end
from mergewright.store.rows import encode_json, storable
from mergewright.store.sql import SqlStore, new_id

T = TypeVar("T")

_tables = sa.MetaData()
REVIEWS = sa.Table(
    "reviews",
    _tables,
    *(sa.Column(name, sa.Text) for name in ("id", "session", "project", "head_sha", "body")),
    sa.Column("iid", sa.Integer),
    sa.Column("created_at", sa.Double),
)
FINDINGS = sa.Table(
    "findings",
    _tables,
    *(sa.Column(name, sa.Text) for name in ("id", "project", "state", "category", "body")),
    sa.Column("iid", sa.Integer),
    sa.Column("number", sa.BigInteger),
)
PARTS = sa.Table("review_parts", _tables, *(sa.Column(name, sa.Text) for name in ("review", "name", "body")))
POLICIES = sa.Table("policies", _tables, *(sa.Column(name, sa.Text) for name in ("scope", "body")))
# Any numbers that nothing else in the database locks by.
OPENING, KEEPING, SETTING = 760323, 760324, 760325


class SqlReviewStore(ReviewStore):
    """What a review keeps, beside the sessions; `key_file` seals the audit's end."""

    def __init__(self, store: SqlStore, key_file: Path) -> None:
        self._store = store
        self._key_file = key_file
        self._end_file = key_file.with_suffix(".end")
        self._last: AuditEntry | None = None

    async def open_review(self, review: Review) -> Review:
        made = replace(review, id=review.id or new_id(), created_at=review.created_at or time.time())

        def insert(connection: sa.Connection) -> Review:
            alone(connection, OPENING)
            known = connection.execute(
                REVIEWS.select().where(REVIEWS.c.session == made.session, REVIEWS.c.head_sha == made.head_sha)
            ).first()
            if known is not None:
                return codec.read(Review, known.body)
            connection.execute(REVIEWS.insert().values(**_review_row(made)))
            return made

        return await self._store.run(insert)

    async def save_review(self, review: Review, *audit: AuditEntry) -> None:
        def save(connection: sa.Connection) -> None:
            changed = REVIEWS.update().where(REVIEWS.c.id == review.id).values(body=codec.write(review))
            if not connection.execute(changed).rowcount:
                raise _no_review(review.id)
            self._add(connection, audit)

        await self._run(save)

    async def review(self, review_id: str) -> Review:
        def read(connection: sa.Connection) -> Review:
            row = connection.execute(REVIEWS.select().where(REVIEWS.c.id == review_id)).first()
            if row is None:
                raise _no_review(review_id)
            return codec.read(Review, row.body)

        return await self._store.run(read)

    async def reviews(
        self, project: str = "", iid: int = 0, *, since: float = 0.0, until: float = 0.0, limit: int = 1000
    ) -> Sequence[Review]:
        query = REVIEWS.select().where(*_about(REVIEWS, project, iid))
        query = query.where(REVIEWS.c.created_at >= since) if since else query
        query = query.where(REVIEWS.c.created_at < until) if until else query
        # The newest are kept where there are more than the limit.
        query = query.order_by(REVIEWS.c.created_at.desc(), REVIEWS.c.id.desc()).limit(limit)
        return await self._store.run(
            lambda connection: [codec.read(Review, row.body) for row in connection.execute(query)][::-1]
        )

    async def newest(
        self, projects: Collection[str] | None = None, *, before: float = 0.0, limit: int = 50
    ) -> Sequence[Review]:
        """The newest review of each merge request, the newest first; `before` is the time to go on behind."""
        whole = sa.select(REVIEWS.c.project, REVIEWS.c.iid, sa.func.max(REVIEWS.c.created_at).label("at"))
        whole = whole if projects is None else whole.where(REVIEWS.c.project.in_(projects))
        last = whole.group_by(REVIEWS.c.project, REVIEWS.c.iid).subquery()
        same = (REVIEWS.c.project == last.c.project, REVIEWS.c.iid == last.c.iid, REVIEWS.c.created_at == last.c.at)
        query = REVIEWS.select().join(last, sa.and_(*same))
        query = query.where(REVIEWS.c.created_at < before) if before else query
        query = query.order_by(REVIEWS.c.created_at.desc(), REVIEWS.c.id.desc()).limit(limit)
        return await self._store.run(
            lambda connection: [codec.read(Review, row.body) for row in connection.execute(query)]
        )

    async def projects(self) -> Sequence[str]:
        """The projects in which anything was ever reviewed or set, by name."""
        query = sa.union(sa.select(REVIEWS.c.project), sa.select(POLICIES.c.scope).where(POLICIES.c.scope.like("%/%")))
        return await self._store.run(lambda connection: sorted(connection.execute(query).scalars()))

    async def findings(self, project: str, iid: int) -> Sequence[Finding]:
        query = FINDINGS.select().where(*_about(FINDINGS, project, iid)).order_by(FINDINGS.c.number)
        return await self._store.run(
            lambda connection: [codec.read(Finding, row.body) for row in connection.execute(query)]
        )

    async def all_findings(self, project: str = "") -> Sequence[tuple[str, int, Finding]]:
        """Every finding with its project and iid, merge request by merge request, oldest first."""
        query = (
            FINDINGS.select()
            .where(*_about(FINDINGS, project, 0))
            .order_by(FINDINGS.c.project, FINDINGS.c.iid, FINDINGS.c.number)
        )
        return await self._store.run(
            lambda connection: [
                (row.project, row.iid, codec.read(Finding, row.body)) for row in connection.execute(query)
            ]
        )

    async def finding(self, finding_id: str) -> tuple[str, int, Finding]:
        def read(connection: sa.Connection) -> tuple[str, int, Finding]:
            row = connection.execute(FINDINGS.select().where(FINDINGS.c.id == finding_id)).first()
            if row is None:
                raise NotFound(f"there is no finding `{finding_id}`")
            return row.project, row.iid, codec.read(Finding, row.body)

        return await self._store.run(read)

    async def save_findings(
        self, project: str, iid: int, findings: Sequence[Finding], *audit: AuditEntry
    ) -> Sequence[Finding]:
        kept = [one if one.id else replace(one, id=new_id()) for one in findings]

        def save(connection: sa.Connection) -> Sequence[Finding]:
            alone(connection, KEEPING)
            here = _about(FINDINGS, project, iid)
            known = {row.id: row for row in connection.execute(FINDINGS.select().where(*here))}
            number = max((row.number for row in known.values()), default=0)
            told = []
            for given in kept:
                row = known.get(given.id)
                one = given if row is None else heed(codec.read(Finding, row.body), given)
                told.append(one)
                values: dict[str, JSON] = {
                    "state": one.state.value,
                    "category": storable(one.category),
                    "body": codec.write(one),
                }
                if row is not None:
                    connection.execute(FINDINGS.update().where(FINDINGS.c.id == one.id).values(**values))
                else:
                    number += 1
                    values |= {"id": one.id, "number": number, "project": project, "iid": iid}
                    connection.execute(FINDINGS.insert().values(**values))
            self._add(connection, audit)
            return told

        return await self._run(save)

    async def part(self, review_id: str, key: str) -> JSON | None:
        query = sa.select(PARTS.c.body).where(PARTS.c.review == review_id, PARTS.c.name == storable(key))
        body = await self._store.run(lambda connection: connection.execute(query).scalar())
        return None if body is None else json.loads(body)

    async def parts(self, key: str) -> Mapping[str, JSON]:
        """What was kept under one key, by the id of the review."""
        query = sa.select(PARTS.c.review, PARTS.c.body).where(PARTS.c.name == storable(key))
        return await self._store.run(
            lambda connection: {row.review: json.loads(row.body) for row in connection.execute(query)}
        )

    async def keep_part(self, review_id: str, key: str, value: JSON) -> None:
        def keep(connection: sa.Connection) -> None:
            alone(connection, KEEPING)
            body, name = json.dumps(value), storable(key)
            here = (PARTS.c.review == review_id, PARTS.c.name == name)
            if not connection.execute(PARTS.update().where(*here).values(body=body)).rowcount:
                connection.execute(PARTS.insert().values(review=review_id, name=name, body=body))

        await self._store.run(keep)

    async def settings(self, scope: str) -> Mapping[str, JSON]:
        query = sa.select(POLICIES.c.body).where(POLICIES.c.scope == scope)
        body = await self._store.run(lambda connection: connection.execute(query).scalar())
        return {} if body is None else dict(json.loads(body))

    async def all_settings(self) -> Mapping[str, Mapping[str, JSON]]:
        """Everything that is set anywhere, by scope."""
        return await self._store.run(
            lambda connection: {row.scope: json.loads(row.body) for row in connection.execute(POLICIES.select())}
        )

    async def change_settings(
        self,
        scope: str,
        values: Mapping[str, JSON],
        audit: AuditEntry,
        *,
        before: Mapping[str, JSON] | None = None,
    ) -> None:
        """Set a scope's policy; with `before`, raises Conflict where somebody has changed it since that was read."""

        def change(connection: sa.Connection) -> None:
            alone(connection, SETTING)
            query = sa.select(POLICIES.c.body).where(POLICIES.c.scope == scope)
            if before is not None and json.loads(connection.execute(query).scalar() or "{}") != before:
                raise Conflict("somebody else has just changed the policy", hint="look at it, and try again")
            body = encode_json(values)
            if not connection.execute(POLICIES.update().where(POLICIES.c.scope == scope).values(body=body)).rowcount:
                connection.execute(POLICIES.insert().values(scope=scope, body=body))
            self._add(connection, [audit])

        await self._run(change)

    async def audit(self, entry: AuditEntry) -> AuditEntry:
        return (await self._run(lambda connection: self._add(connection, [entry])))[0]

    async def audit_entries(
        self, project: str = "", iid: int = 0, *, since: float = 0.0, until: float = 0.0, after: int = 0
    ) -> Sequence[AuditEntry]:
        query = AUDIT.select().where(AUDIT.c.seq > after, *_about(AUDIT, project, iid)).order_by(AUDIT.c.seq)
        query = query.where(AUDIT.c.at >= since) if since else query
        query = query.where(AUDIT.c.at < until) if until else query
        return await self._store.run(lambda connection: entries_from(connection.execute(query)))

    async def audit_lines(
        self,
        projects: Collection[str] | None = None,
        *,
        iid: int = 0,
        actor: str = "",
        action: str = "",
        since: float = 0.0,
        until: float = 0.0,
        before: int = 0,
        limit: int = 50,
    ) -> Sequence[AuditEntry]:
        """The newest lines first, of some projects or scopes or of all; `before` is the line to go on behind."""
        query = AUDIT.select().order_by(AUDIT.c.seq.desc())
        query = query if projects is None else query.where(AUDIT.c.project.in_(projects))
        query = query.where(AUDIT.c.iid == iid) if iid else query
        for name, value in (("actor", actor), ("action", action)):
            # As the line is written; what only looks so within its details is told apart below.
            written = f"{json.dumps(name)}:{json.dumps(value)}"
            query = query.where(AUDIT.c.body.contains(written, autoescape=True)) if value else query
        query = query.where(AUDIT.c.at >= since) if since else query
        query = query.where(AUDIT.c.at < until) if until else query

        def read(connection: sa.Connection) -> Sequence[AuditEntry]:
            found: list[AuditEntry] = []
            last = before
            while len(found) < limit:
                page = query.where(AUDIT.c.seq < last) if last else query
                lines = entries_from(connection.execute(page.limit(limit)))
                found += [one for one in lines if actor in {"", one.actor} and action in {"", one.action}]
                if len(lines) < limit:
                    break
                last = lines[-1].seq
            return found[:limit]

        return await self._store.run(read)

    async def verify_audit(self) -> AuditReport:
        """Walk the whole audit and say whether any line was changed, removed, put in or moved."""
        end = await asyncio.to_thread(read_end, self._end_file)
        key = self._key() if self._key_file.exists() else None
        return await self._store.run(lambda connection: verify(connection, key, end))

    def _add(self, connection: sa.Connection, entries: Sequence[AuditEntry]) -> list[AuditEntry]:
        kept = add(connection, self._key, entries)
        # In an older copy of the database the note stays where it was, so that `verify` goes on finding that.
        if kept and has_line(connection, *read_end(self._end_file)):
            self._last = kept[-1]
        return kept

    async def _run(self, work: Callable[[sa.Connection], T]) -> T:
        """Do the work in one transaction; once it is kept, note how far the audit has come."""

        def both(connection: sa.Connection) -> tuple[T, AuditEntry | None]:
            self._last = None
            return work(connection), self._last

        done, last = await self._store.run(both)
        if last is not None:
            await asyncio.to_thread(write_end, self._end_file, last.seq, last.hash)
        return done

    def _key(self) -> bytes:
        return read_key(self._key_file)


def _review_row(review: Review) -> dict[str, JSON]:
    return {
        "id": review.id,
        "session": review.session,
        "project": review.project,
        "iid": review.iid,
        "head_sha": review.head_sha,
        "created_at": review.created_at,
        "body": codec.write(review),
    }


def _about(table: sa.Table, project: str, iid: int) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = [table.c.project == project] if project else []
    return [*wanted, table.c.iid == iid] if iid else wanted


def _no_review(review_id: str) -> NotFound:
    return NotFound(f"there is no review `{review_id}`")
