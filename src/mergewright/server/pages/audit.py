"""The audit: who did what and why, to look through, to take along, and to verify."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from mergewright.app import records
from mergewright.app.audits import ACTIONS, last_verified, scope_of, verify_now
from mergewright.app.people import Person
from mergewright.domain.errors import Forbidden, WrongUse
from mergewright.domain.review import AuditEntry
from mergewright.server.asking import Asking, services_of
from mergewright.server.pages.base import page
from mergewright.server.pages.words import WORDS

router = APIRouter()
LINES = 50
EXPORT = 1_000_000
LARGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Filter:
    """What of the audit is wanted."""

    project: str
    iid: int
    actor: str
    action: str
    since: str
    until: str

    @property
    def query(self) -> str:
        told = {"project": self.project, "iid": self.iid or "", "actor": self.actor, "action": self.action,
                "since": self.since, "until": self.until}  # fmt: skip
        return urlencode({name: value for name, value in told.items() if value})


def _filter(
    project: str = "", iid: str = "", actor: str = "", action: str = "", since: str = "", until: str = ""
) -> Filter:
    # A form sends what was left open as an empty text.
    number = iid.strip().lstrip("!")
    if number and not (number.isascii() and number.isdecimal() and int(number[:12]) <= LARGEST):
        raise WrongUse("the merge request is no number", hint="as in `12`")
    if number and not project:
        raise WrongUse("a merge request is one of a project", hint="choose the project too")
    return Filter(project.strip(), int(number or 0), actor.strip().lstrip("@"), action, since, until)


Wanted = Annotated[Filter, Depends(_filter)]


@router.get("/audit")
async def show(request: Request, person: Asking, want: Wanted, before: Annotated[int, Query(ge=0)] = 0) -> Response:
    """Show the newest lines, and whether the chain was whole when it was last verified."""
    projects, names, lines = await _lines(request, person, want, before=min(before, 2**62), limit=LINES + 1)
    return page(
        request,
        "audit.html",
        person,
        title="Audit",
        want=want,
        projects=names,
        everything=projects is None,
        lines=lines[:LINES],
        more=lines[LINES - 1].seq if len(lines) > LINES else 0,
        actions=ACTIONS,
        verified=await last_verified(services_of(request).reviews),
        details=_details,
        **WORDS,
    )


@router.get("/audit/export")
async def export(
    request: Request,
    person: Asking,
    want: Wanted,
    form: Annotated[Literal["jsonl", "csv"], Query(alias="format")] = "jsonl",
) -> Response:
    """Give the same lines as a file, the oldest first."""
    _, _, lines = await _lines(request, person, want, limit=EXPORT)
    oldest = list(reversed(lines))
    text, kind = (
        (records.as_csv(oldest), "text/csv") if form == "csv" else (records.as_jsonl(oldest), "application/jsonl")
    )
    return PlainTextResponse(
        text, media_type=kind, headers={"Content-Disposition": f'attachment; filename="audit.{form}"'}
    )


@router.post("/audit/verify")
async def verify(request: Request, person: Asking, want: Wanted) -> Response:
    """Walk over the whole chain now."""
    services = services_of(request)
    names = await services.reviews.projects()
    projects, _ = await scope_of(services.sessions, person, "", names, admins=services.admins)
    if projects is not None and not projects:
        raise Forbidden("the audit is verified by maintainers and administrators", hint="ask one of them")
    await verify_now(services.reviews, person)
    return RedirectResponse(f"/audit?{want.query}" if want.query else "/audit", 303)


async def _lines(
    request: Request, person: Person, want: Filter, *, before: int = 0, limit: int
) -> tuple[list[str] | None, list[str], Sequence[AuditEntry]]:
    services = services_of(request)
    since, until = period(want.since, want.until)
    every = await services.reviews.projects()
    projects, names = await scope_of(services.sessions, person, want.project, every, admins=services.admins)
    lines = await services.reviews.audit_lines(
        projects,
        iid=want.iid,
        actor=want.actor,
        action=want.action,
        since=since,
        until=until,
        before=before,
        limit=limit,
    )
    return projects, names, lines


def period(since: str, until: str) -> tuple[float, float]:
    """Read two days as they stand in a form, both included; 0 for one that was left open. Raises WrongUse."""
    try:
        first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) if day else None for day in (since, until))
        return first.timestamp() if first else 0.0, (last + timedelta(days=1)).timestamp() if last else 0.0
    except (ValueError, OverflowError) as error:
        raise WrongUse("the period is not two days", hint="as in `2026-01-31`") from error


def _details(entry: AuditEntry) -> Mapping[str, str]:
    """Give what else a line tells, each in a text."""
    return {name: value if isinstance(value, str) else records.as_text(value) for name, value in entry.details.items()}
