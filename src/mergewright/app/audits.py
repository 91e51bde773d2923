"""The audit as the page shows it: who may read which part of it, and when it was verified last."""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mergewright.app.people import People, Person
from mergewright.app.settling import administers
from mergewright.domain.forge import AccessLevel

if TYPE_CHECKING:
    from mergewright.app.sessions import Sessions
    from mergewright.store.reviews import SqlReviewStore

ACTIONS = ("review", "finding", "verify", "override", "dismiss", "dispute", "concede", "refuse", "policy", "handover")
WHOLE = ""
"""In place of a review's id: what was kept is of the whole installation."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What the last walk over the whole audit found."""

    at: float
    entries: int
    problem: str = ""
    by: str = ""


async def maintained(people: People, person: Person, projects: Sequence[str]) -> list[str]:
    """Give those of some projects that a person sees whose audit they may read."""
    levels = await asyncio.gather(*(people.level(person, one) for one in projects))
    return [one for one, level in zip(projects, levels, strict=True) if level >= AccessLevel.MAINTAINER]


async def scope_of(
    sessions: "Sessions", person: Person, project: str, names: Sequence[str], *, admins: Collection[str]
) -> tuple[list[str] | None, list[str]]:
    """Give the projects whose lines are shown, None for all lines, and those of `names` to choose from.

    Raises NotFound or Forbidden for a project whose audit the person may not read.
    """
    people = sessions.people
    if administers(person, admins):
        return ([project] if project else None), list(names)
    mine = await maintained(people, person, await sessions.readable(person, names))
    if not project:
        return mine, mine
    if project not in mine:
        project = await people.at_least(person, project, AccessLevel.MAINTAINER)
    return [project], mine


async def last_verified(reviews: "SqlReviewStore") -> Verified | None:
    """Give what the last walk found; None before the first."""
    kept = await reviews.part(WHOLE, "audit_verified")
    return None if kept is None else Verified(**kept)


async def verify_now(reviews: "SqlReviewStore", person: Person) -> Verified:
    """Walk over the whole audit, and keep what was found."""
    report = await reviews.verify_audit()
    found = Verified(time.time(), report.entries, report.problem, person.user.username)
    await reviews.keep_part(WHOLE, "audit_verified", asdict(found))
    return found
