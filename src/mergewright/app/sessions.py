"""Sessions as people have them over the pages and the APIs: each may do what the forge lets them, and no more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mergewright.app import rights
from mergewright.app.people import People, Person
from mergewright.app.runtime import Also, Runtime, cancel_session, change_plan, message_session, need_developer
from mergewright.domain.errors import Conflict, Forbidden, NotFound, WrongUse
from mergewright.domain.forge import Project
from mergewright.domain.session import JSON, Event, EventKind, Session, Status, Subject
from mergewright.domain.trigger import Trigger, TriggerKind

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mergewright.store.sql import SqlStore

LONGEST_REASON = 4_000
"""Characters of a reason that a person gives."""
AGAIN = ("approve_plan", "agent_privileges", "discussion", "pipeline")
"""Inputs that a session takes over from the one it is a restart of."""
KEPT = ("project_id", "workflow_definition", "environment", "client_reference", "pre_approved", "may_ask")
"""What GitLab's flows API was told, and tells again."""


@dataclass(slots=True)
class Sessions:
    """Lists, shows, starts and steers sessions for a person; `person` is who asks."""

    store: "SqlStore"
    people: People
    reviewer: Runtime
    developer: Runtime | None
    """None where no model is set, so that nobody can develop."""
    scopes: rights.Scopes
    wake: Callable[[], None]
    """Tells the worker that something waits."""
    _sight: rights.Sight = field(init=False)

    def __post_init__(self) -> None:
        self._sight = rights.Sight(self.people)

    async def listed(
        self,
        person: Person,
        *,
        project: str = "",
        status: Sequence[Status] = (),
        flow: str = "",
        mine: bool = False,
        before: str = "",
        limit: int = 50,
    ) -> Sequence[Session]:
        """Give the sessions that the person may see, the newest first; `before` is the id to go on behind."""
        actor = person.user.username if mine else ""
        named = [project] if project else await self.store.projects(actor=actor)
        projects = await self._sight.projects(person, named)
        found: list[Session] = []
        while projects:
            page = await self.store.sessions(
                projects=projects, status=status, flow=flow, actor=actor, before=before, limit=limit
            )
            found += [one for one in page if await self._sight.sees(person, one)]
            if len(page) < limit or len(found) >= limit:
                break
            before = page[-1].id
        return found[:limit]

    async def one(self, person: Person, session_id: str) -> Session:
        """Give a session by its id or its number; raises NotFound for what the person may not see."""
        session = await self.store.find(session_id)
        if not await self._sight.sees(person, session):
            raise NotFound(f"There is no session `{session_id}`", hint="mergewright sessions list")
        return session

    async def readable(self, person: Person, projects: Sequence[str]) -> list[str]:
        """Keep the projects whose code the person may read, as it was known within the last minute."""
        return await self._sight.projects(person, projects)

    async def project(self, person: Person, name: str) -> Project:
        """Give a project by its path or its number as the person sees it; raises NotFound."""
        with self.people.open_forge(person.token) as forge:
            return await forge.project(name)

    async def number_of(self, session: Session) -> int:
        """Give the forge's number of a session's project."""
        if (known := session.inputs.get("project_id")) is not None:
            return int(known)
        return (await self.people.forge.project(session.subject.project)).id

    async def events(self, person: Person, session_id: str, *, after: int = 0) -> Sequence[Event]:
        """Give a session's events past a number, oldest first."""
        return await self.store.events((await self.one(person, session_id)).id, after=after)

    async def begin(
        self,
        person: Person,
        flow: str,
        subject: Subject,
        *,
        goal: str = "",
        approve_plan: bool = False,
        privileges: Sequence[str] = (),
        start: bool = True,
        discussion: str = "",
        pipeline: int = 0,
        kept: Mapping[str, JSON] | None = None,
        also: Also | None = None,
    ) -> Session:
        """Begin a session in the person's name, to be worked on at once, or once it is started.

        Raises NotFound for a subject that the person does not see, Forbidden where their role, the bot's or the
        project's policy does not allow it, Conflict while such a session is at work, WrongUse for anything else.
        """
        flow = flow.removesuffix("/v1")
        subject = await rights.may_start(self.people, self.scopes, person, subject)
        runtime = self._runtime(flow)
        actor = person.user.username
        asked: dict[str, JSON] = {**(kept or {}), "actor_id": person.user.id}

        def both(connection: "Connection", session: Session) -> None:
            if also is not None:
                also(connection, session)
            if start:
                _works(person, session)(connection, session)

        if flow == "developer":
            begun = await runtime.start(
                subject, actor=actor, approve_plan=approve_plan, privileges=privileges, kept=asked, also=both
            )
        elif flow == "software_development":
            begun = await runtime.start_goal(
                subject,
                goal,
                actor=actor,
                approve_plan=approve_plan,
                privileges=privileges,
                discussion=discussion,
                kept=asked,
                also=both,
            )
        elif flow == "feedback":
            begun = await runtime.start_feedback(
                subject,
                actor=actor,
                discussion=discussion,
                pipeline=pipeline,
                privileges=privileges,
                kept=asked,
                also=both,
            )
        else:
            begun = await runtime.start_review(subject, actor=actor, privileges=privileges, kept=asked, also=both)
        if start:
            self.wake()
        return begun

    async def start(self, person: Person, session_id: str) -> Session:
        """Have a session worked on that was begun without; raises Conflict for any other."""
        session = await self._steered(person, session_id)
        if session.status is not Status.CREATED:
            raise Conflict(f"session `{session.id}` was started already: it is {session.status.value}")
        await self.store.run(lambda connection: _works(person, session)(connection, session))
        self.wake()
        return session

    async def approve(self, person: Person, session_id: str) -> Session:
        """Say yes to the plan that waits; raises Conflict when none does, or somebody has answered."""
        return await self._answer(person, session_id, approve=True)

    async def reject(self, person: Person, session_id: str, reason: str) -> Session:
        """Say no to the plan that waits; with a reason the agent plans anew, without one the session stops."""
        return await self._answer(person, session_id, approve=False, reason=reason.strip())

    async def change_plan(self, person: Person, session_id: str, tasks: Sequence[str]) -> Event:
        """Put other steps in place of those of the plan that waits, which stays to be approved."""
        session = await self._steered(person, session_id)
        if await self._answered(session):
            raise Conflict(f"session `{session.id}` was answered already")
        return await change_plan(self.store, session, tasks, by=person.user.username)

    async def message(self, person: Person, session_id: str, text: str) -> Event:
        """Tell the agent something, which it reads before its next request; raises Conflict when none would."""
        session = await self._steered(person, session_id)
        return await message_session(self.store, session.id, text, by=person.user.username)

    async def cancel(self, person: Person, session_id: str, reason: str = "") -> Session:
        """End a session; whatever runs for it is stopped. Raises Conflict when it has ended."""
        session = await self._steered(person, session_id)
        who = f"cancelled by {person.user.username}"
        said = _short(reason.strip())
        return await cancel_session(self.store, session.id, reason=f"{who}: {said}" if said else who)

    async def restart(self, person: Person, session_id: str) -> Session:
        """Begin a session that failed or was stopped anew, as another one.

        Raises Forbidden for one that did not, Conflict while it runs or a restart of it does.
        """
        old = await self.one(person, session_id)
        await rights.may_steer(self.people, self.scopes, person, old)
        if old.status is Status.FINISHED:
            raise Forbidden(f"session `{old.id}` has finished; only what failed or was stopped is restarted")
        if not old.status.ended:
            raise Conflict(
                f"session `{old.id}` has not ended: it is {old.status.value}", hint="cancel it first, or let it end"
            )
        inputs = {name: old.inputs[name] for name in AGAIN if old.inputs.get(name)}
        kept = {name: old.inputs[name] for name in KEPT if name in old.inputs}
        return await self.begin(
            person,
            old.flow,
            old.subject,
            goal=old.goal,
            approve_plan=bool(inputs.get("approve_plan")),
            privileges=[str(one) for one in inputs.get("agent_privileges", ())],
            discussion=str(inputs.get("discussion", "")),
            pipeline=int(inputs.get("pipeline", 0)),
            kept=kept | {"restart_of": old.id},
            also=_alone,
        )

    async def _answer(self, person: Person, session_id: str, *, approve: bool, reason: str = "") -> Session:
        session = await self._steered(person, session_id)
        await self._runtime(session.flow).answer(
            session.id,
            approve=approve,
            reason=_short(reason),
            actor=person.user.username,
            also=_works(person, session),
        )
        self.wake()
        return session

    async def _answered(self, session: Session) -> bool:
        events = await self.store.events(session.id, kinds=(EventKind.APPROVAL,))
        return any(event.turn == session.turn for event in events)

    async def _steered(self, person: Person, session_id: str) -> Session:
        session = await self.one(person, session_id)
        await rights.may_steer(self.people, self.scopes, person, session)
        return session

    def _runtime(self, flow: str) -> Runtime:
        from mergewright.flows.registry import Registry

        Registry().flow(flow)
        if flow == "code_review":
            return self.reviewer
        return need_developer(self.developer)


def _works(person: Person, session: Session) -> Also:
    """Give what puts a session before the worker, in the transaction in which it was asked for."""
    from mergewright.store.triggers import keep

    work = Trigger(TriggerKind.WORK, session.subject, person.user.username, session=session.id)

    def put(connection: "Connection", _: Session) -> None:
        keep(connection, "", [work])

    return put


def _alone(connection: "Connection", session: Session) -> None:
    """Raise Conflict where another restart of the same session is at work."""
    from mergewright.store.rows import SESSIONS, session_from

    query = SESSIONS.select().where(SESSIONS.c.project == session.subject.project, SESSIONS.c.flow == session.flow)
    for row in connection.execute(query.where(SESSIONS.c.id != session.id)):
        one = session_from(row)
        if not one.status.ended and one.inputs.get("restart_of") == session.inputs["restart_of"]:
            raise Conflict(f"a restart of it is at work already: session `{one.id}`")


def _short(reason: str) -> str:
    if len(reason) > LONGEST_REASON:
        raise WrongUse(f"the reason has {len(reason):,} characters; {LONGEST_REASON:,} are the most")
    return reason
