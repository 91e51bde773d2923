"""Who may see, start and steer sessions: never more than both the person and the bot may do on the forge."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from mergewright.app.people import People, Person
from mergewright.domain.errors import Forbidden, NotFound
from mergewright.domain.forge import AccessLevel, Forge
from mergewright.domain.session import Session, Subject

KNOWN = 60.0
"""Seconds for which it is remembered what a person may see; what they may do is asked for each time."""
MOST = 20_000
AT_ONCE = 8
"""Questions to the forge side by side."""
STEERING = frozenset({"api", "ai_workflows"})
"""Scopes of a token that may start and steer sessions."""
CHANGING = frozenset({"api"})
"""Scopes of a token that may change anything else."""
Scopes = Callable[[str], Awaitable[Sequence[str]]]
"""Gives the scopes of a token, as the forge says them."""


@dataclass(slots=True)
class Sight:
    """Remembers for a while which projects and issues people may see."""

    people: People
    _known: dict[tuple[str, str], tuple[float, bool]] = field(default_factory=dict, repr=False)
    _asking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def projects(self, person: Person, projects: Sequence[str]) -> list[str]:
        """Keep the projects whose code the person may read: sessions quote it."""
        seen = await asyncio.gather(*(self._project(person, project) for project in projects))
        return [project for project, sees in zip(projects, seen, strict=True) if sees]

    async def sees(self, person: Person, session: Session) -> bool:
        """Whether a person may see a session: its project with its code, and the issue, which may be confidential."""
        subject = session.subject
        if not await self._project(person, subject.project):
            return False
        return subject.kind != "#" or await self._issue(person, subject)

    async def _project(self, person: Person, project: str) -> bool:
        async def ask(forge: Forge) -> None:
            found = await forge.project(project)
            await forge.branch(project, found.default_branch or "main")

        return await self._answer(person, project, ask)

    async def _issue(self, person: Person, subject: Subject) -> bool:
        async def ask(forge: Forge) -> None:
            await forge.issue(subject.project, subject.iid)

        return await self._answer(person, str(subject), ask)

    async def _answer(self, person: Person, what: str, ask: Callable[[Forge], Awaitable[None]]) -> bool:
        key = person.token, what
        at, answer = self._known.get(key, (0.0, False))
        if key in self._known and time.monotonic() - at < KNOWN:
            return answer
        async with self._asking:
            with self.people.open_forge(person.token) as forge:
                try:
                    await ask(forge)
                except (NotFound, Forbidden):
                    answer = False
                else:
                    answer = True
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = time.monotonic(), answer
        return answer


async def may_start(people: People, scopes: Scopes, person: Person, subject: Subject) -> Subject:
    """Give the subject as the forge names it, once it is certain that the person may start a session on it.

    The bot's own rights are looked at where the session begins. Raises NotFound for what the person does not see,
    Forbidden where their role, or their token, allows less.
    """
    await need_scope(scopes, person)
    with people.open_forge(person.token) as forge:
        # By its own name: one that differs in letters or is a number would go past the project's policy.
        project = (await forge.project(subject.project)).path_with_namespace
        subject = replace(subject, project=project)
        if subject.kind == "#":
            await forge.issue(project, subject.iid)
        elif subject.kind == "!":
            await forge.merge_request(project, subject.iid)
    await need_developer(people, person, project)
    return subject


async def may_steer(people: People, scopes: Scopes, person: Person, session: Session) -> None:
    """Raise Forbidden for one who sees a session, but may not answer, change or end it."""
    await need_scope(scopes, person)
    await need_developer(people, person, session.subject.project)


async def need_developer(people: People, person: Person, project: str) -> None:
    """Raise Forbidden for a person whose role in a project is less than Developer."""
    level = await people.level(person, project)
    if level < AccessLevel.DEVELOPER:
        raise Forbidden(
            f"this takes the role Developer or more in `{project}`; {_has(level)}",
            hint="ask a maintainer of the project",
        )


def may_go_on(forge: Forge) -> Callable[[Session], Awaitable[str]]:
    """Give what says why a session may not go on: the person it runs for has lost the role that it takes."""

    async def reason(session: Session) -> str:
        number = session.inputs.get("actor_id")
        if not isinstance(number, int) or not number:
            # Begun on the command line, by whoever holds the bot's own token.
            return ""
        level = await forge.access_level(session.subject.project, number)
        if level >= AccessLevel.DEVELOPER:
            return ""
        return f"{session.actor} may not go on with it: that takes the role Developer or more in the project"

    return reason


async def need_scope(scopes: Scopes, person: Person, allowed: frozenset[str] = STEERING) -> None:
    """Raise Forbidden for a token that somebody cut to size for less; a sign-in by that token changes nothing."""
    if person.in_person or allowed & set(await scopes(person.token)):
        return
    does = "start or steer sessions" if allowed == STEERING else "change anything"
    named = " or ".join(f"`{one}`" for one in sorted(allowed, key=lambda one: one != "api"))
    raise Forbidden(f"the token's scopes do not let it {does}", hint=f"make a token with the scope {named}")


def _has(level: AccessLevel) -> str:
    return "you have no role there" if level == AccessLevel.NONE else f"you have {level.name.title()}"
