"""Runs one component of a flow."""

from collections.abc import Mapping

from mergewright.domain.errors import LimitReached, MergewrightError
from mergewright.domain.flow import (
    AgentComponent,
    Component,
    DeterministicStepComponent,
    Flow,
    HumanInputComponent,
    OneOffComponent,
)
from mergewright.domain.session import JSON, Event, EventKind, Plan
from mergewright.flows.context import next_component, resolve
from mergewright.flows.registry import step_named
from mergewright.flows.world import Ending, Work

MOST_APPROVALS = 3
"""How often a person may send a plan back before the session stops."""


async def run_component(
    flow: Flow, component: Component, work: Work, context: Mapping[str, JSON]
) -> dict[str, JSON] | None:
    """Give `{outputs, next, ending?}`; None when the turn ends here to wait for a person."""
    values = resolve(component.inputs, context, component=component.name)
    ending: Ending | None = None
    outputs: dict[str, JSON] | None
    try:
        match component:
            case DeterministicStepComponent():
                done = await step_named(component.tool_name)(work, values)
                ending = done.ending
                outputs = {"tool_responses": dict(done.responses), "execution_result": "success", "error": None}
            case AgentComponent():
                from mergewright.flows.agents import run_agent

                outputs = await run_agent(flow, component, work, values)
            case OneOffComponent():
                from mergewright.flows.one_off import run_one_off

                outputs = await run_one_off(flow, component, work, values)
            case HumanInputComponent():
                outputs = await _ask(component, work, values)
    except MergewrightError as error:
        if not _routed(flow, component, error):
            raise
        await work.emit(EventKind.ERROR, {"message": error.message, "hint": error.hint, "kind": type(error).__name__})
        outputs = {"execution_result": "failed", "status": "failed", "error": error.message}
    if outputs is None:
        return None
    ended: dict[str, JSON] = {
        "outputs": outputs,
        "next": next_component(flow.routers[component.name], {**context, component.name: outputs}),
    }
    return {**ended, "ending": ending.encode()} if ending else ended


def _routed(flow: Flow, component: Component, error: MergewrightError) -> bool:
    """Whether the flow itself says where to go on after this failure.

    An agent's fault goes that way only when another try would end the same: what a resumed session
    could still bring to a good end stays where it is.
    """
    asks = flow.routers[component.name].input
    if isinstance(component, AgentComponent):
        return asks == f"context:{component.name}.status" and (
            isinstance(error, LimitReached) or type(error) is MergewrightError
        )
    return asks in {f"context:{component.name}.execution_result", f"context:{component.name}.error"}


async def _ask(component: HumanInputComponent, work: Work, values: Mapping[str, JSON]) -> dict[str, JSON] | None:
    """Give the person's answer, with the plan as they have changed it; None while there is none."""
    begun: Event | None = None
    changed: Event | None = None
    kinds = (EventKind.COMPONENT, EventKind.APPROVAL, EventKind.PLAN)
    for event in await work.world.store.events(work.session.id, kinds=kinds):
        if event.kind is EventKind.COMPONENT and event.component == work.component:
            begun = begun or event
        elif event.kind is EventKind.PLAN and event.data.get("by") and begun is not None:
            changed = event
        elif event.kind is EventKind.APPROVAL and begun is not None:
            return _answer(work, event, changed)
    from mergewright.agent.fence import fence
    from mergewright.flows.prompts import render

    await work.say(render(component.message_template, values, fence=fence))
    return None


def _answer(work: Work, event: Event, changed: Event | None) -> dict[str, JSON]:
    approval = str(event.data["approval"])
    reason = str(event.data.get("reason") or "").strip()
    decision = "approve"
    if approval != "approve":
        # Without a reason there is nothing to plan anew with.
        decision = "revise" if reason and not event.data.get("stop") and work.run < MOST_APPROVALS else "stop"
    answer = {"approval": approval, "decision": decision, "reason": reason, "by": str(event.data.get("by") or "")}
    if changed is None:
        return answer
    tasks = [task.text for task in Plan.decode(changed.data["tasks"]).tasks]
    plan = {"tasks": tasks, "by": str(changed.data["by"]), "text": "\n".join(f"- {task}" for task in tasks)}
    return {**answer, "plan": plan}
