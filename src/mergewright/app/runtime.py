"""One process's hold on sessions: start them, work on them, answer them, end them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mergewright.app.adapters import Sandboxes, check_model, make_world, model_name
from mergewright.app.connect import LocalConnection, Role, connect, connection_file, person_of, reach
from mergewright.app.records import need_flow
from mergewright.app.reviewing import NO_MODEL, open_reviews, review_worlds
from mergewright.app.settings import Settings
from mergewright.app.telemetry import Telemetry, open_telemetry
from mergewright.domain.engine import Engine
from mergewright.domain.errors import Conflict, Forbidden, WrongUse
from mergewright.domain.forge import AccessLevel, ForgeStatus
from mergewright.domain.session import JSON, Event, EventKind, Session, Status, Store, Subject

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from mergewright.gitlab.reviewing import GitLabReviewForge
    from mergewright.review.world import ReviewWorld
    from mergewright.store.sql import SqlStore

LOOK = 0.5
"""Seconds between two looks whether somebody cancelled the session from another process."""
LONGEST_GOAL = 20_000
"""Characters."""
Also = Callable[["Connection", Session], None]
"""Writes in the transaction that keeps a new session: whoever asked for it is not left with half of it."""
MayGoOn = Callable[[Session], Awaitable[str]]
"""Gives the reason why a session may not go on with its next turn; nothing when it may."""


def need_developer(runtime: "Runtime | None") -> "Runtime":
    """Give what develops here; raises WrongUse where no model is set."""
    if runtime is None:
        raise WrongUse("no model is set up here", hint="whoever runs this server sets `MERGEWRIGHT_MODEL`")
    return runtime


class Runtime:
    """Sessions, and the worker of this process that runs their turns."""

    def __init__(
        self,
        settings: Settings,
        store: "SqlStore",
        forge: "GitLabReviewForge",
        sandboxes: Sandboxes,
        engine: Engine,
        review_world: "Callable[[Session], ReviewWorld] | None" = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.forge = forge
        self._sandboxes = sandboxes
        self.works = True
        """Whether sessions are worked on here; a server that leaves that to workers needs no sandbox."""
        self._engine = engine
        self.review_world = review_world
        """Makes the world of a session's review; None in a process that does not review."""
        self._telemetry = telemetry or Telemetry(store)

    async def start(
        self,
        subject: Subject,
        *,
        flow: str = "developer",
        goal: str = "",
        approve_plan: bool = False,
        actor: str = "",
        privileges: Sequence[str] = (),
        kept: Mapping[str, JSON] | None = None,
        also: Also | None = None,
    ) -> Session:
        """Begin a session on an issue, once it is certain that the bot may do the work and the issue is there.

        `goal` is what a person wrote beyond the issue itself; a note on the issue is read with it anyway.
        `privileges` are GitLab's agent privileges; without any the session has all. `kept` is what else the session
        remembers of how it was asked for. Raises Forbidden, NotFound, Conflict or WrongUse before anything is written.
        """
        if subject.kind != "#":
            raise WrongUse(f"`{subject}` is no issue", hint="name an issue: `group/project#7`")
        held = allowed(flow, subject, privileges)
        model, status = await self._may_push(subject)
        await self._must_be_on(flow, subject)
        issue = await self.forge.issue(subject.project, subject.iid)
        if issue.state != "opened":
            raise WrongUse(f"`{subject}` is {issue.state}", hint="reopen the issue, or name another one")
        inputs = {**(kept or {}), "approve_plan": approve_plan, "forge": status.url} | held
        who = actor or person_of(self.settings, status.user.username)
        session = Session("", flow, subject, goal or str(subject), who, model, turn=1, inputs=inputs)
        return await self.store.create(session, also=also)

    async def start_goal(
        self,
        subject: Subject,
        goal: str,
        *,
        approve_plan: bool = False,
        actor: str = "",
        privileges: Sequence[str] = (),
        discussion: str = "",
        kept: Mapping[str, JSON] | None = None,
        also: Also | None = None,
    ) -> Session:
        """Begin to work towards a goal on a project or on a merge request; the answer goes to `discussion`, if any.

        Raises Forbidden, NotFound, Conflict or WrongUse before anything is written.
        """
        if subject.kind == "#":
            raise WrongUse(f"`{subject}` is an issue", hint="name a project or a merge request: `group/project!12`")
        check_goal(goal)
        held = allowed("software_development", subject, privileges)
        model, status = await self._may_push(subject)
        await self._must_be_on("software_development", subject)
        if subject.kind:
            await self._must_be_open(subject)
        inputs = {**(kept or {}), "approve_plan": approve_plan, "forge": status.url} | held
        if discussion:
            inputs["discussion"] = discussion
        who = actor or person_of(self.settings, status.user.username)
        session = Session("", "software_development", subject, goal.strip(), who, model, turn=1, inputs=inputs)
        return await self.store.create(session, also=also)

    async def start_feedback(
        self,
        subject: Subject,
        *,
        discussion: str = "",
        pipeline: int = 0,
        actor: str = "",
        privileges: Sequence[str] = (),
        kept: Mapping[str, JSON] | None = None,
        also: Also | None = None,
    ) -> Session:
        """Begin to work the open threads of a merge request in, or only the one that is named.

        With `pipeline` it is that pipeline's failed jobs instead. Raises Forbidden, NotFound, Conflict or WrongUse
        before anything is written.
        """
        held = allowed("feedback", subject, privileges)
        model, status = await self._may_push(subject)
        await self._must_be_on("feedback", subject)
        await self._must_be_open(subject)
        inputs: dict[str, JSON] = {**(kept or {}), "forge": status.url} | held
        if discussion:
            inputs["discussion"] = discussion
        if pipeline:
            inputs["pipeline"] = pipeline
        who = actor or person_of(self.settings, status.user.username)
        goal = f"Mend pipeline {pipeline} of {subject}" if pipeline else f"Feedback on {subject}"
        session = Session("", "feedback", subject, goal, who, model, turn=1, inputs=inputs)
        return await self.store.create(session, also=also)

    async def _must_be_on(self, flow: str, subject: Subject) -> None:
        await need_flow(open_reviews(self.settings, self.store), self.forge, subject.project, flow)

    async def _must_be_open(self, subject: Subject) -> None:
        merge_request = await self.forge.merge_request(subject.project, subject.iid)
        if merge_request.state != "opened":
            raise WrongUse(f"`{subject}` is {merge_request.state}", hint="reopen it, or name another one")

    async def _may_push(self, subject: Subject) -> tuple[str, ForgeStatus]:
        """Give the model's name and who we are; raises where the work could not be done."""
        model = await model_name(self.settings)
        if model == NO_MODEL:
            raise WrongUse("this takes a model", hint="only reviews run with `--model none`")
        await check_model(self.settings, model)
        if self.works:
            await asyncio.to_thread(self._sandboxes.check)
        status = await reach(self.settings, self.forge)
        if status.scopes and "api" not in status.scopes:
            raise Forbidden(
                f"the token of `{status.user.username}` has no scope `api`, only `{'`, `'.join(status.scopes)}`",
                hint="make a token with the scope `api`",
            )
        await self.forge.project(subject.project)
        level = await self.forge.access_level(subject.project, status.user.id)
        if level < AccessLevel.DEVELOPER:
            raise Forbidden(
                f"`{status.user.username}` may not push to `{subject.project}`: its role is {level.name.title()}",
                hint="give it the role Developer or more in the project's members",
            )
        return model, status

    async def start_review(
        self,
        subject: Subject,
        *,
        explicit: bool = True,
        actor: str = "",
        privileges: Sequence[str] = (),
        kept: Mapping[str, JSON] | None = None,
        also: Also | None = None,
    ) -> Session:
        """Begin a review of a merge request; `explicit` when a person asked for exactly this one.

        Raises WrongUse or Unreachable before anything is written.
        """
        if subject.kind != "!":
            raise WrongUse(f"`{subject}` is an issue", hint="name a merge request: `group/project!12`")
        held = allowed("code_review", subject, privileges)
        model = self.settings.model
        if not model:
            raise WrongUse("no model is set", hint="pass `--model NAME`, or `--model none` to use analyzers alone")
        if model != NO_MODEL:
            model = await model_name(self.settings)
            await check_model(self.settings, model)
        if self.works:
            await asyncio.to_thread(self._sandboxes.check)
        status = await reach(self.settings, self.forge)
        await self._must_be_on("code_review", subject)
        developer = await self._developer(status.user.username)
        inputs = {**(kept or {}), "explicit": explicit, "forge": status.url, "developer": developer} | held
        who = actor or person_of(self.settings, status.user.username)
        session = Session("", "code_review", subject, f"Review {subject}", who, model, turn=1, inputs=inputs)
        return await self.store.create(session, also=also)

    async def _developer(self, reviewer: str) -> str:
        """Give the username of our developer identity, whose merge requests the reviewer never approves."""
        if not self.settings.gitlab_url:
            local = LocalConnection.read(connection_file(self.settings))
            return local.bot if local else ""
        if not self.settings.reviewer_token or self.settings.reviewer_token == self.settings.gitlab_token:
            return reviewer
        developer = connect(self.settings)
        try:
            return (await developer.status()).user.username
        finally:
            developer.close()

    async def resume(self, session_id: str) -> Session:
        """Get a session ready to go on: where its process was killed, or where it failed or was stopped.

        Raises Conflict while it waits for a person or another process works on it.
        """
        session = await self._adopt(session_id)
        if session.status is Status.FINISHED:
            raise Conflict(f"session `{session.id}` has finished", hint=f"mergewright sessions show {session.id}")
        if session.status.waiting and session.status is not Status.PAUSED:
            raise Conflict(
                f"session `{session.id}` waits for a person: {session.reason}",
                hint=f"mergewright sessions approve {session.id}, or reject it with --reason",
            )
        async with self.store.claim(session.id):
            pass
        if session.status.ended or session.status is Status.PAUSED:
            return replace(session, turn=session.turn + 1)
        return session

    async def take_up(self, session_id: str, *, asked_at: float) -> Session | None:
        """Get a session ready that somebody asked to be worked on; None where there is nothing to do.

        It goes on where its process was killed, after a person's answer, or once more where it had ended before it
        was asked for. Raises WrongUse for a session of another forge.
        """
        session = await self.store.session(session_id)
        if session.status.ended and (session.status is Status.FINISHED or session.updated_at >= asked_at):
            return None
        again = session.status.ended or (session.status is Status.PAUSED and session.updated_at < asked_at)
        if session.status.waiting and not again and not await self._answered(session):
            return None
        session = await self._adopt(session_id)
        return replace(session, turn=session.turn + 1) if again or session.status.waiting else session

    async def _answered(self, session: Session) -> bool:
        """Whether a person has answered since the session began to wait."""
        kinds = (EventKind.STATUS, EventKind.APPROVAL)
        events = await self.store.events(session.id, kinds=kinds)
        return bool(events) and events[-1].kind is EventKind.APPROVAL

    async def answer(
        self,
        session_id: str,
        *,
        approve: bool,
        reason: str = "",
        plan: Sequence[str] = (),
        actor: str = "",
        also: Also | None = None,
    ) -> Session:
        """Give a person's answer to the plan a session waits with; raises Conflict when it does not wait any more.

        With `plan`, these steps take the place of the plan's first.
        """
        session = await self._adopt(session_id)
        if session.status not in {Status.PLAN_APPROVAL_REQUIRED, Status.TOOL_CALL_APPROVAL_REQUIRED}:
            raise Conflict(
                f"session `{session.id}` does not wait for an approval: it is {session.status.value}",
                hint=f"mergewright sessions show {session.id}",
            )
        who = actor or person_of(self.settings, (await reach(self.settings, self.forge)).user.username)
        if plan:
            await change_plan(self.store, session, plan, by=who)
        data = {"approval": "approve" if approve else "reject", "by": who, "reason": reason}
        await self.store.answer(session, data, also=also)
        return replace(session, turn=session.turn + 1)

    async def work(self, session: Session) -> Session:
        """Run the session's turn in this process until it ends or waits; gives the session as it then stands."""
        async with self._telemetry.working(session):
            await self._work(session)
        return await self.store.session(session.id)

    async def _work(self, session: Session) -> None:
        from mergewright.models.select import load

        await self._engine.enqueue(session.id, session.turn)
        asks = (self.settings.other_model or session.model) != NO_MODEL
        watching = asyncio.ensure_future(self._cancel_when_stopped(session))
        try:
            # The model is first asked after a clone and the checks, in which this process has little to do.
            if asks:
                await asyncio.to_thread(load, session.model)
            await self._engine.wait(session.id, session.turn)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    async def seen(self, session: Session) -> int:
        """The number of the session's last event."""
        return max((event.seq for event in await self.store.events(session.id)), default=0)

    async def _adopt(self, session_id: str) -> Session:
        session = await self.store.session(session_id)
        if (model := self.settings.other_model or session.model) != NO_MODEL:
            await check_model(self.settings, model)
        forge = (await reach(self.settings, self.forge)).url
        if session.inputs.get("forge") != forge:
            raise WrongUse(
                f"session `{session.id}` belongs to the forge `{session.inputs.get('forge')}`, not to `{forge}`",
                hint="set GITLAB_URL and GITLAB_TOKEN, or --gitlab-url, to that forge",
            )
        return session

    async def _cancel_when_stopped(self, session: Session) -> None:
        while True:
            await asyncio.sleep(LOOK)
            now = await self.store.session(session.id)
            if now.status is Status.STOPPED and now.turn == session.turn:
                await self._engine.cancel(session.id, session.turn)
                return


def open_sessions(settings: Settings) -> Store:
    """Open the store alone, to look at sessions or end them."""
    from mergewright.store.sql import open_store

    settings.make_home()
    return open_store(settings.database)


async def message_session(store: Store, session_id: str, text: str, *, by: str) -> Event:
    """Keep a person's words for a session's agent; raises Conflict when none would read them."""
    from mergewright.flows.listening import write
    from mergewright.flows.registry import Registry

    session = await store.session(session_id)
    return await write(store, session, Registry().flow(session.flow), text, by=by)


async def change_plan(store: Store, session: Session, tasks: Sequence[str], *, by: str) -> Event:
    """Put a person's steps in place of those of the plan that a session waits with; raises Conflict without one."""
    from mergewright.flows.listening import change_plan as change

    return await change(store, session, tasks, by=by)


def allowed(flow: str, subject: Subject, privileges: Sequence[str]) -> dict[str, JSON]:
    """Give the inputs of a session with these privileges; raises Forbidden when its flow needs others."""
    if not privileges:
        return {}
    from mergewright.flows.privileges import check_names, check_privileges
    from mergewright.flows.registry import Registry

    inputs: dict[str, JSON] = {"agent_privileges": list(check_names(privileges))}
    check_privileges(Registry().flow(flow), subject, inputs)
    return inputs


def check_goal(goal: str) -> None:
    """Raise WrongUse for a goal that says nothing, or too much."""
    if not goal.strip():
        raise WrongUse("the goal is empty", hint="say what is to be done")
    if len(goal) > LONGEST_GOAL:
        raise WrongUse(
            f"the goal has {len(goal):,} characters; {LONGEST_GOAL:,} are the most", hint="put the rest in an issue"
        )


async def cancel_session(store: Store, session_id: str, *, reason: str = "") -> Session:
    """End a session; the process that works on it sees that and stops. Raises Conflict when it has ended."""
    session = await store.session(session_id)
    return await store.update(session.id, status=Status.STOPPED, reason=reason or "cancelled")


@asynccontextmanager
async def open_runtime(
    settings: Settings, *, record: Path | None = None, role: Role = "developer"
) -> AsyncIterator[Runtime]:
    """Open the store and the forge; give them back at the end, whatever happened."""
    from mergewright.store.sql import open_store

    settings.make_home()
    forge = connect(settings, role=role)
    store = open_store(settings.database)
    try:
        async with runtime_on(settings, store, forge, record=record, role=role) as runtime:
            yield runtime
    finally:
        await store.close()
        forge.close()


@asynccontextmanager
async def runtime_on(
    settings: Settings,
    store: "SqlStore",
    forge: "GitLabReviewForge",
    *,
    record: Path | None = None,
    role: Role = "developer",
    may_go_on: MayGoOn | None = None,
) -> AsyncIterator[Runtime]:
    """Give the hold on sessions over a store and a forge that are open; what still runs at the end is stopped."""
    from mergewright.engine.here import HereEngine
    from mergewright.flows.registry import Registry
    from mergewright.flows.run import Runner

    sandboxes = Sandboxes(settings)
    reviews = None
    if role == "reviewer":
        reviews = review_worlds(settings, store, forge, sandboxes, record=record)
    world = make_world(settings, store, forge, sandboxes, record=record, open_review=reviews, may_go_on=may_go_on)
    engine = HereEngine(Runner(world, Registry()).run_turn)
    async with open_telemetry(settings, store, forge) as telemetry:
        try:
            yield Runtime(settings, store, forge, sandboxes, engine, reviews, telemetry)
        finally:
            await engine.stop()
