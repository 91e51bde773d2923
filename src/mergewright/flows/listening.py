"""What people tell a session: words for its agent, and a plan of their own."""

from collections.abc import Sequence

from mergewright.domain.errors import Conflict, WrongUse
from mergewright.domain.flow import AgentComponent, Flow
from mergewright.domain.session import Event, EventKind, Plan, Session, Status, Store, Task
from mergewright.flows.fold import fold

LONGEST = 8_000
"""Characters of one message."""
MOST_TASKS, LONGEST_TASK = 50, 500


async def write(store: Store, session: Session, flow: Flow, text: str, *, by: str) -> Event:
    """Keep a person's words for the agent, who reads them before its next request.

    Raises Conflict when the session waits, has ended or is past its last agent.
    """
    show = f"mergewright sessions show {session.id}"
    said = text.strip()
    if not said:
        raise WrongUse("the message is empty", hint="say what the agent should do, or leave")
    if len(said) > LONGEST:
        raise WrongUse(f"the message has {len(said):,} characters; {LONGEST:,} are read", hint="say it in fewer words")
    if session.status.ended:
        raise Conflict(f"session `{session.id}` has ended: {session.reason}", hint=show)
    if session.status.waiting:
        raise Conflict(
            f"session `{session.id}` waits for a person: {session.reason}",
            hint=f"mergewright sessions approve {session.id}, or reject it with --reason",
        )
    events = await store.events(session.id, kinds=(EventKind.COMPONENT,))
    now = fold(events, entry_point=flow.entry_point, before_turn=session.turn + 1).next
    if not _leads_to_an_agent(flow, now):
        raise Conflict(f"no agent would read it: session `{session.id}` is past the part that one works on", hint=show)
    data = {"role": "user", "text": said, "note": "person", "by": by}
    return await store.append(session.id, EventKind.MESSAGE, data, turn=session.turn)


async def change_plan(store: Store, session: Session, tasks: Sequence[str], *, by: str) -> Event:
    """Put a person's steps in place of the plan's, which waits for approval; the approval is given apart from it.

    Raises Conflict when no plan waits.
    """
    if session.status is not Status.PLAN_APPROVAL_REQUIRED:
        raise Conflict(
            f"session `{session.id}` has no plan that waits for approval: it is {session.status.value}",
            hint=f"mergewright sessions show {session.id}",
        )
    answers = await store.events(session.id, kinds=(EventKind.APPROVAL,))
    if answers and answers[-1].turn == session.turn:
        raise Conflict(
            f"the plan of session `{session.id}` was answered already", hint=f"mergewright sessions show {session.id}"
        )
    lines = [" ".join(text.split()) for text in tasks]
    if not lines or not all(lines):
        raise WrongUse("a plan has at least one step, and no step is empty", hint="to stop the session, cancel it")
    if len(lines) > MOST_TASKS:
        raise WrongUse(f"the plan has {len(lines)} steps; {MOST_TASKS} are the most", hint="put some together")
    longest = max(map(len, lines))
    if longest > LONGEST_TASK:
        raise WrongUse(f"a step has {longest:,} characters; {LONGEST_TASK} are the most", hint="say it in fewer words")
    data = {"tasks": Plan(tuple(Task(line) for line in lines)).encode(), "by": by}
    return await store.append(session.id, EventKind.PLAN, data, turn=session.turn)


async def tell_unheard(store: Store, session: Session) -> None:
    """Say it when a session finishes before what people wrote was read."""
    events = await store.events(session.id, kinds=(EventKind.MESSAGE,))
    heard = {event.data["of"] for event in events if event.data.get("note") == "heard"}
    written = [event for event in events if event.data.get("note") == "person" and not event.component]
    late = [event for event in written if event.seq not in heard]
    if late:
        by = ", ".join(dict.fromkeys(str(event.data["by"]) for event in late))
        text = f"came too late to be read: {len(late)} message{'' if len(late) == 1 else 's'} by {by}"
        await store.append(session.id, EventKind.PROGRESS, {"text": text}, turn=session.turn)


def _leads_to_an_agent(flow: Flow, component: str) -> bool:
    found, todo = {component}, [component]
    while todo:
        name = todo.pop()
        if isinstance(flow.components.get(name), AgentComponent):
            return True
        for target in flow.routers[name].targets if name in flow.routers else ():
            if target not in found:
                found.add(target)
                todo.append(target)
    return False
