"""Carries triggers out: an answer at once, anything longer as a session that a killed process does not lose."""

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mergewright.app.runtime import Runtime, message_session, need_developer
from mergewright.app.undone import NotAllowed, line
from mergewright.domain.errors import Conflict, MergewrightError, WrongUse
from mergewright.domain.forge import AccessLevel, Forge
from mergewright.domain.session import Event, EventKind, Session, Status, Subject
from mergewright.domain.trigger import Cause, Trigger, TriggerKind
from mergewright.flows.failed_jobs import head_pipelines
from mergewright.review.answer import answer, desk_for
from mergewright.review.override import weigh_again
from mergewright.review.start import why_not
from mergewright.review.world import ReviewWorld

if TYPE_CHECKING:
    from mergewright.store.sql import SqlStore
    from mergewright.store.triggers import SqlTriggerStore

AT_ONCE = frozenset({TriggerKind.ANSWER, TriggerKind.GATE, TriggerKind.HEAR, TriggerKind.WORK})
"""What is carried out as it stands; anything else begins a session first."""
IN_A_ROW = 2
"""Failed pipelines of one merge request that are worked on before a person has to push."""
log = logging.getLogger("mergewright.dispatch")


@dataclass(frozen=True, slots=True)
class Hands:
    """What triggers are carried out with."""

    reviewer: Runtime
    developer: Runtime | None
    """None where no model is set, so that nobody can develop."""
    triggers: "SqlTriggerStore"
    bot: Forge | None = None
    """The forge as the developer sees it; the reviewer's where it is not given."""

    def voice(self, trigger: Trigger) -> Forge:
        """Give the forge of the account that speaks about a trigger."""
        ours = {TriggerKind.REVIEW, TriggerKind.ANSWER, TriggerKind.GATE}
        return self.reviewer.forge if trigger.kind in ours or self.bot is None else self.bot

    def need_developer(self) -> Runtime:
        return need_developer(self.developer)


async def carry_out(hands: Hands, trigger: Trigger) -> None:
    """Give an answer, weigh approvals, pass words on or work on a session; raises what cannot be done."""
    if trigger.kind is TriggerKind.GATE:
        await weigh_again(await desk_for(_world(hands, trigger.subject), trigger.subject))
    elif trigger.kind is TriggerKind.ANSWER:
        await _answer(hands, trigger)
    elif trigger.kind is TriggerKind.HEAR:
        await _hear(hands, trigger)
    else:
        await _work(hands, trigger)


async def begin(hands: Hands, trigger: Trigger) -> Trigger | None:
    """Begin the session that a trigger asks for; gives the work on it, which then waits in the trigger's place.

    None where nothing is to be done; raises MergewrightError for what cannot be done.
    """
    session = await _begin(hands, trigger)
    return None if session is None else replace(trigger, kind=TriggerKind.WORK, session=session.id, tries=0)


async def _begin(hands: Hands, trigger: Trigger) -> Session | None:
    if trigger.kind is TriggerKind.REVIEW:
        return await _begin_review(hands, trigger)
    if trigger.kind is TriggerKind.PIPELINE:
        return await _begin_mending(hands, trigger)
    await _need_role(hands, trigger)
    runtime, subject = hands.need_developer(), trigger.subject
    also = hands.triggers.becomes(trigger)
    by, thread = trigger.actor, trigger.discussion_id
    # Looked at again before each turn: people lose rights while a session waits.
    kept = {"actor_id": trigger.actor_id} if trigger.actor_id else {}
    if trigger.kind is TriggerKind.FIX:
        await _clear(hands, runtime, "feedback", trigger)
        return await runtime.start_feedback(subject, discussion=thread, actor=by, kept=kept, also=also)
    if subject.kind == "!":
        await _clear(hands, runtime, "software_development", trigger)
        return await runtime.start_goal(subject, trigger.goal, discussion=thread, actor=by, kept=kept, also=also)
    if await _asked_meanwhile(runtime, trigger):
        log.info("%s is at work already", subject)
        return None
    await _clear(hands, runtime, "developer", trigger)
    return await runtime.start(subject, goal=trigger.goal, actor=by, kept=kept, also=also)


async def _begin_review(hands: Hands, trigger: Trigger) -> Session | None:
    cause = trigger.cause or Cause.ASKED
    subject, runtime = trigger.subject, hands.reviewer
    if why := await why_not(_world(hands, subject), subject.project, subject.iid, cause, at=trigger.at):
        log.info("no review of %s: %s", subject, why)
        return None
    await _clear(hands, runtime, "code_review", trigger)
    also = hands.triggers.becomes(trigger)
    return await runtime.start_review(subject, explicit=cause.explicit, actor=trigger.actor, also=also)


async def _clear(hands: Hands, runtime: Runtime, flow: str, trigger: Trigger) -> None:
    """Have a session that a killed process left behind gone on with first; raises Conflict while one is at work."""
    for session in await runtime.store.sessions(active=True, flow=flow, subject=trigger.subject):
        if session.status is Status.CREATED:
            raise Conflict(f"session {session.id} was begun already, and waits for a worker or to be started")
        if session.status.waiting and session.status is not Status.PAUSED:
            raise MergewrightError(f"session {session.id} waits for a person: {session.reason}", hint="Answer it first")
        await runtime.resume(session.id)
        actor = session.actor or trigger.actor
        await hands.triggers.deliver("", [Trigger(TriggerKind.WORK, trigger.subject, actor, session=session.id)])
        raise Conflict(f"session {session.id} was left behind and goes on first")


async def _asked_meanwhile(runtime: Runtime, trigger: Trigger) -> bool:
    """Whether a session was at work on the issue when it was assigned or labelled once more."""
    if trigger.note_id:
        return False
    about = await runtime.store.sessions(flow="developer", subject=trigger.subject)
    return any(one.created_at <= trigger.at and (not one.status.ended or trigger.at <= one.updated_at) for one in about)


async def _work(hands: Hands, trigger: Trigger) -> None:
    session = await hands.reviewer.store.session(trigger.session)
    runtime = hands.reviewer if session.flow == "code_review" else hands.need_developer()
    ready = await runtime.take_up(session.id, asked_at=trigger.at)
    if ready is None:
        log.info("nothing is to be done for session %s: it is %s", session.id, session.status.value)
        return
    ended = await runtime.work(ready)
    if ended.status is Status.FAILED:
        log.error("session %s on %s failed: %s", ended.id, ended.subject, line(ended.reason))


async def _answer(hands: Hands, trigger: Trigger) -> None:
    reply = await answer(_world(hands, trigger.subject), trigger.subject, trigger.note_id)
    if not reply.then:
        return
    wanted = Trigger(TriggerKind.REVIEW, trigger.subject, trigger.actor, Cause.MENTIONED, actor_id=trigger.actor_id)
    if reply.then == "fix":
        wanted = replace(wanted, kind=TriggerKind.FIX, cause=None, discussion_id=reply.discussion)
    await hands.triggers.deliver("", [wanted])


async def _hear(hands: Hands, trigger: Trigger) -> None:
    """Give a mention to the session that is at work on the issue; where none would read it, it begins one."""
    await _need_role(hands, trigger)
    store = hands.reviewer.store
    for session in await store.sessions(active=True, flow="developer", subject=trigger.subject):
        if await _passed_on(store, session, trigger):
            log.info("what %s wrote on %s goes to session %s", trigger.actor, trigger.subject, session.id)
            return
    await hands.triggers.instead(trigger, replace(trigger, kind=TriggerKind.DEVELOP))


async def _passed_on(store: "SqlStore", session: Session, trigger: Trigger) -> bool:
    """Whether a session has a person's words, now or since a process that was killed while it passed them on."""
    said = trigger.goal.strip()
    for event in await store.events(session.id, kinds=(EventKind.MESSAGE,)):
        told = (event.data.get("note"), event.data.get("by"), event.data.get("text"))
        if event.at >= trigger.at and told == ("person", trigger.actor, said):
            return True
    try:
        await message_session(store, session.id, said, by=trigger.actor)
    except (Conflict, WrongUse):
        # It waits, is past its agents, or takes no words like these.
        return False
    return True


async def _need_role(hands: Hands, trigger: Trigger) -> None:
    """Raise NotAllowed for a person whose role is less than Developer, or of whom nothing tells who they are."""
    if not trigger.actor_id:
        raise NotAllowed(f"that takes the role Developer or more; nothing says who {trigger.actor} is")
    level = await (hands.bot or hands.reviewer.forge).access_level(trigger.subject.project, trigger.actor_id)
    if level < AccessLevel.DEVELOPER:
        raise NotAllowed(f"that takes the role Developer or more; {trigger.actor} has {level.name.title()}")


# --- failed pipelines --------------------------------------------------------------------------


async def _begin_mending(hands: Hands, trigger: Trigger) -> Session | None:
    """Work on a failed pipeline of our developer's own merge request, while it is the newest and was not answered."""
    runtime, subject = hands.need_developer(), trigger.subject
    forge, me = runtime.forge, (await runtime.forge.status()).user
    if not subject.kind:
        # A branch's pipeline does not say whose merge request it is.
        found = await forge.find_merge_request(subject.project, source_branch=trigger.branch)
        if found is None:
            return None
        subject = Subject(subject.project, "!", found.iid)
        await hands.triggers.deliver("", [replace(trigger, subject=subject, branch="", id=0)])
        return None
    merge_request = await forge.merge_request(subject.project, subject.iid)
    if merge_request.author.id != me.id or merge_request.state != "opened":
        return None
    if trigger.pipeline not in await head_pipelines(forge, merge_request):
        return None
    earlier = await runtime.store.sessions(flow="feedback", subject=subject)
    mended = {one.inputs["pipeline"]: one for one in earlier if one.inputs.get("pipeline")}
    if trigger.pipeline in mended:
        return None
    if await _in_a_row(runtime, list(mended.values()), merge_request.sha) >= IN_A_ROW:
        raise MergewrightError(
            f"{IN_A_ROW} failed pipelines in a row were worked on already, so a person goes on from here",
            hint="A push of yours lets me try again",
        )
    actor = await _person_behind(runtime, subject, merge_request.closes_issues)
    await _clear(hands, runtime, "feedback", trigger)
    also = hands.triggers.becomes(trigger)
    return await runtime.start_feedback(subject, pipeline=trigger.pipeline, actor=actor, also=also)


async def _in_a_row(runtime: Runtime, mended: list[Session], sha: str) -> int:
    """Count how many sessions for failed pipelines, one on another's push, have led to this commit."""
    came_from: dict[str, str] = {}
    for session in mended:
        events = await runtime.store.events(session.id, kinds=(EventKind.COMPONENT, EventKind.FORGE))
        before = next((found for event in events if (found := _read_at(event))), "")
        pushed = (str(event.data["sha"]) for event in events if event.data.get("action") == "push")
        came_from |= dict.fromkeys(pushed, before)
    count = 0
    while sha in came_from:
        count, sha = count + 1, came_from.pop(sha)
    return count


def _read_at(event: Event) -> str:
    """The commit that a component read the merge request at; empty for any other event."""
    found = (event.data.get("outputs") or {}).get("tool_responses")
    return str(found.get("sha") or "") if isinstance(found, dict) else ""


async def _person_behind(runtime: Runtime, subject: Subject, closes: tuple[int, ...]) -> str:
    """Give whom the merge request was opened for; empty where no session of ours tells."""
    issues = {Subject(subject.project, "#", iid) for iid in closes}
    for session in await runtime.store.sessions(projects=[subject.project]):
        if session.subject in issues or session.subject == subject:
            return session.actor
    return ""


def _world(hands: Hands, subject: Subject) -> ReviewWorld:
    runtime = hands.reviewer
    if runtime.review_world is None:
        raise MergewrightError("this process has no reviewer")
    # What is answered in a thread belongs to no session; only its model's name counts here.
    return runtime.review_world(Session("", "code_review", subject, "", "", runtime.settings.model))
