"""Runs an agent component: its prompt filled, its tools opened, its answer taken."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mergewright.agent.fence import fence
from mergewright.agent.loop import Agent, Assignment
from mergewright.agent.tools.toolbox import open_tools
from mergewright.domain.agent import Limits, Tool, ToolResult, ToolSpec
from mergewright.domain.flow import AgentComponent, Flow, ToolUse
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON, EventKind, Plan, Task
from mergewright.flows.privileges import CHANGING, usable
from mergewright.flows.prompts import render
from mergewright.flows.world import Work

PLAIN_ANSWER = {
    "type": "object",
    "properties": {"summary": {"type": "string"}},
    "required": ["summary"],
    "additionalProperties": False,
}


async def run_agent(flow: Flow, component: AgentComponent, work: Work, values: Mapping[str, JSON]) -> dict[str, JSON]:
    """Give `final_answer` with its fields and a `text` that reads well, and `status`."""
    prompt = flow.prompts[component.prompt_id]
    sandbox = work.sandbox()
    opened = tools(component.toolset, sandbox, work)
    model = work.world.open_model(work.session)
    limits = await limits_left(work)
    if prompt.timeout is not None:
        limits = replace(limits, seconds=min(limits.seconds, prompt.timeout))
    try:
        agent = Agent(model, work.world.store, opened, sandbox=sandbox)
        outcome = await agent.run(
            Assignment(
                session=work.session,
                component=work.component,
                system=render(prompt.system, values, fence=fence),
                prompt=render(prompt.user, values, fence=fence),
                answer=flow.response_schemas.get(component.response_schema_id, PLAIN_ANSWER),
                limits=limits,
                max_cycles=component.max_cycles,
                gated=any(tool.spec.name in CHANGING for tool in opened),
            )
        )
    finally:
        await model.close()
    answer = dict(outcome.answer)
    tasks = [str(task) for task in answer.get("tasks") or ()]
    if tasks:
        await work.emit(EventKind.PLAN, {"tasks": Plan(tuple(Task(text) for text in tasks)).encode()})
    answer["text"] = "\n".join([str(answer.get("summary") or ""), *(f"- {task}" for task in tasks)]).strip()
    return {"final_answer": answer, "status": "finished", "error": None}


async def limits_left(work: Work) -> Limits:
    """Give what the session may still use: what other components used up is taken off, never this one's own."""
    limits = work.world.settings.limits
    turns, tokens, cost, seconds = 0, 0, 0.0, 0.0
    for event in await work.world.store.events(work.session.id, kinds=(EventKind.USAGE,)):
        if event.component == work.component:
            continue
        turns += event.data.get("requests") or 1
        tokens += (event.data.get("input_tokens") or 0) + (event.data.get("output_tokens") or 0)
        cost += event.data.get("cost") or 0.0
        seconds += event.data.get("seconds") or 0.0
    return Limits(
        turns=max(limits.turns - turns, 0),
        tokens=max(limits.tokens - tokens, 0),
        seconds=max(limits.seconds - seconds, 0.0),
        cost=None if limits.cost is None else max(limits.cost - cost, 0.0),
    )


def tools(toolset: Sequence[ToolUse], sandbox: Sandbox, work: Work) -> tuple[Tool, ...]:
    """Open those tools of a component that the session may use, those with fixed arguments wrapped."""
    names = usable((use.name for use in toolset), work.session.inputs)
    forced = {use.name: use.forced for use in toolset if use.forced}
    opened = open_tools(sandbox, names, seconds=work.world.settings.command_seconds)
    return tuple(_Forced(tool, forced[tool.spec.name]) if tool.spec.name in forced else tool for tool in opened)


class _Forced:
    """A tool some of whose arguments the flow has fixed: the model neither sees nor changes them."""

    def __init__(self, tool: Tool, forced: Mapping[str, JSON]) -> None:
        parameters = dict(tool.spec.parameters)
        known = dict(parameters.get("properties", {}))
        parameters["properties"] = {name: spec for name, spec in known.items() if name not in forced}
        parameters["required"] = [name for name in parameters.get("required", ()) if name not in forced]
        self.spec = ToolSpec(tool.spec.name, tool.spec.description, parameters)
        self.access = tool.access
        self._tool = tool
        self._forced = forced

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        return await self._tool.call({**arguments, **self._forced})

    def recall(self, facts: Mapping[str, JSON]) -> None:
        """Hand on what was done before a crash, where the tool wants to know."""
        recall = getattr(self._tool, "recall", None)
        if recall is not None:
            recall(facts)
