"""Runs a flow, one turn at a time: from where the session stands to its end or the next wait for a person."""

import traceback
from collections.abc import Mapping
from functools import partial

from mergewright.domain.engine import Steps
from mergewright.domain.errors import ForgeError, MergewrightError, NoDatabase
from mergewright.domain.flow import ABORT, END, Flow, HumanInputComponent
from mergewright.domain.session import JSON, EventKind, Session, Status
from mergewright.flows.components import run_component
from mergewright.flows.context import start_values
from mergewright.flows.fold import Standing, fold
from mergewright.flows.listening import tell_unheard
from mergewright.flows.privileges import check_privileges
from mergewright.flows.registry import Registry
from mergewright.flows.world import Ending, Work, World

MOST_COMPONENTS = 100
"""Component runs in one session: a flow that goes in a circle ends here."""


class Runner:
    """Runs turns of sessions; `run_turn` is what the engine is given."""

    def __init__(self, world: World, registry: Registry) -> None:
        self._world = world
        self._registry = registry

    async def run_turn(self, session_id: str, turn: int, steps: Steps) -> None:
        """Take a session on until it ends or waits; how it ended is in the session, not raised."""
        store = self._world.store
        async with store.claim(session_id):
            session = await store.session(session_id)
            if session.turn >= turn and (session.status.ended or session.status.waiting):
                # Killed between the last word and the engine's own mark: the turn is over.
                return
            if session.status is not Status.RUNNING or session.turn != turn:
                session = await store.update(session_id, status=Status.RUNNING, turn=turn)
            try:
                ending = await self._refused(session) or await self._follow(session, turn, steps)
            except NoDatabase:
                # Nothing is wrong with the session: whoever takes it up goes on where it stands.
                raise
            except MergewrightError as error:
                await store.append(session_id, EventKind.ERROR, _told(error), turn=turn)
                ending = Ending(Status.FAILED, error.message)
            if (await store.session(session_id)).status.ended:
                # A person ended it meanwhile, and that stands.
                return
            if ending.status is Status.FINISHED:
                await tell_unheard(store, session)
            await store.update(session_id, status=ending.status, reason=ending.reason)

    async def _refused(self, session: Session) -> Ending | None:
        """Say why a turn may not begin: people lose rights while a session waits for them."""
        check_privileges(self._registry.flow(session.flow), session.subject, session.inputs)
        reason = await self._world.may_go_on(session) if self._world.may_go_on else ""
        return Ending(Status.FAILED, reason) if reason else None

    async def _follow(self, session: Session, turn: int, steps: Steps) -> Ending:
        flow = self._registry.flow(session.flow)
        events = await self._world.store.events(session.id, kinds=(EventKind.COMPONENT,))
        standing = fold(events, entry_point=flow.entry_point, before_turn=turn)
        while standing.next not in {END, ABORT}:
            if standing.next not in flow.components:
                raise MergewrightError(
                    f"the flow `{flow.name}` has no component `{standing.next}` any more", hint="start a new session"
                )
            if standing.total >= MOST_COMPONENTS:
                raise MergewrightError(
                    f"the flow `{flow.name}` went through {MOST_COMPONENTS} components without an end"
                )
            work = Work(self._world, session, turn, standing.next, standing.runs.get(standing.next, 0) + 1)
            value = await steps.step(f"{work.component}:run", partial(self._run, flow, work, standing))
            if "ending" in value and value.get("next") is None:
                return Ending.decode(value["ending"])
            standing = standing.after(work.name, value)
        if standing.next == END:
            return standing.ending or Ending(Status.FINISHED, "the flow came to its end")
        reason = standing.ending.reason if standing.ending else "the flow was aborted"
        return Ending(Status.FAILED, reason)

    async def _run(self, flow: Flow, work: Work, standing: Standing) -> JSON:
        """Run one component once; gives `{outputs, next, ending?}`, or only `{ending}` when the turn is over."""
        store = self._world.store
        begun = False
        for event in await store.events(work.session.id, kinds=(EventKind.COMPONENT,), component=work.component):
            begun = True
            if event.data["phase"] == "end":
                # Killed between the event and the engine's own mark.
                return dict(event.data)
        component = flow.components[work.name]
        kind = type(component).__name__
        if not begun:
            await work.emit(EventKind.COMPONENT, {"phase": "begin", "type": kind})
        try:
            context = {**await self._start(work.session), **standing.outputs}
            ended = await run_component(flow, component, work, context)
        except NoDatabase:
            raise
        except MergewrightError as error:
            return await _failed(work, error, _told(error))
        except Exception as error:  # noqa: BLE001 - the step boundary: a fault ends the session with a reason, never in silence
            frames = [
                f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
                for frame in traceback.extract_tb(error.__traceback__)
            ]
            told = {"message": f"{type(error).__name__}: {error}", "hint": "", "at": frames[-6:]}
            return await _failed(work, error, told)
        if ended is None:
            return {"ending": _wait(component).encode(), "next": None}
        await work.emit(EventKind.COMPONENT, {"phase": "end", "type": kind, **ended})
        return {"phase": "end", "type": kind, **ended}

    async def _start(self, session: Session) -> dict[str, JSON]:
        components = self._registry.flow(session.flow).components.values()
        asked = any(given.source == "context:project_id" for one in components for given in one.inputs)
        project_id = (await self._world.forge.project(session.subject.project)).id if asked else 0
        return start_values(session, project_id)


async def _failed(work: Work, error: Exception, told: Mapping[str, JSON]) -> JSON:
    await work.emit(EventKind.ERROR, told)
    return {"ending": Ending(Status.FAILED, f"{work.name}: {told['message']}").encode(), "next": None}


def _told(error: MergewrightError) -> dict[str, JSON]:
    hint = error.hint or (
        "`mergewright sessions resume` goes on where it stood" if isinstance(error, ForgeError) else ""
    )
    return {"message": error.message, "hint": hint, "kind": type(error).__name__}


def _wait(component: object) -> Ending:
    if isinstance(component, HumanInputComponent) and component.interaction_type == "input":
        return Ending(Status.INPUT_REQUIRED, f"`{component.name}` waits for an answer")
    return Ending(Status.PLAN_APPROVAL_REQUIRED, "the plan waits for approval")
