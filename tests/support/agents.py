"""An agent on a scripted model, and what it is asked to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mergewright.agent.loop import Agent, Assignment
from mergewright.agent.tools.toolbox import ALL, open_tools
from mergewright.domain.agent import Limits, Model, Tool, ToolResult
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON, Session, Store, Subject

SESSION = Session("s1", "developer", Subject.parse("g/p#1"), "do it", "ada", "scripted", turn=1)
ANSWER: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"summary": {"type": "string"}},
    "required": ["summary"],
}
ASSIGNMENT = Assignment(SESSION, "implement:1", "You are an engineer.", "Do it.", ANSWER)


async def answer(tool: Tool, **arguments: JSON) -> str:
    """What a model reads when it calls a tool that works."""
    result: ToolResult = await tool.call(arguments)
    return result.text


def agent_on(
    model: Model,
    store: Store,
    sandbox: Sandbox,
    names: Sequence[str] = ALL,
    *,
    clock: Callable[[], float] | None = None,
) -> Agent:
    """An agent with fresh tools, as a process that has just started has it."""
    opened = open_tools(sandbox, names)
    if clock is not None:
        return Agent(model, store, opened, sandbox=sandbox, clock=clock)
    return Agent(model, store, opened, sandbox=sandbox)


def limited(**limits: int) -> Assignment:
    return replace(ASSIGNMENT, limits=replace(Limits(), **limits))
