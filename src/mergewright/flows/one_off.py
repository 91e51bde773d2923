"""Runs a one-off component: one round of tool calls by a model, tried again while calls fail."""

from collections.abc import Mapping

from mergewright.agent.arguments import complaints, parse
from mergewright.agent.fence import fence
from mergewright.domain.agent import Message, Role, Tool, ToolCall, ToolResult
from mergewright.domain.errors import LimitReached, MergewrightError, ToolError
from mergewright.domain.flow import Flow, OneOffComponent
from mergewright.domain.session import JSON, EventKind
from mergewright.flows.agents import limits_left, tools
from mergewright.flows.prompts import render
from mergewright.flows.world import Work


async def run_one_off(
    flow: Flow, component: OneOffComponent, work: Work, values: Mapping[str, JSON]
) -> dict[str, JSON]:
    """Give the calls and their results; raises when no round of calls went well."""
    prompt = flow.prompts[component.prompt_id]
    opened = {tool.spec.name: tool for tool in tools(component.toolset, work.sandbox(), work)}
    model = work.world.open_model(work.session)
    messages = [
        Message(Role.SYSTEM, render(prompt.system, values, fence=fence)),
        Message(Role.USER, render(prompt.user, values, fence=fence)),
    ]
    try:
        for message in messages:
            await work.emit(EventKind.MESSAGE, message.encode())
        for _ in range(component.max_correction_attempts + 1):
            if (await limits_left(work)).turns <= 0:
                raise LimitReached("the session has used up its turns", hint="raise the limit, or split the task")
            reply = await model.reply(work.component, tuple(messages), [tool.spec for tool in opened.values()])
            usage = reply.usage
            await work.emit(
                EventKind.USAGE,
                {
                    "requests": usage.requests,
                    "input_tokens": usage.input_tokens,
                    "output_tokens": usage.output_tokens,
                    "cached_tokens": usage.cached_tokens,
                    "cost": usage.cost,
                },
            )
            await _say(work, messages, reply.message)
            results = [await _call(work, opened, call) for call in reply.message.tool_calls]
            for call, result in zip(reply.message.tool_calls, results, strict=True):
                await _say(work, messages, Message(Role.TOOL, result.text, call_id=call.id))
            if results and all(result.ok for result in results):
                return {
                    "tool_calls": [{"name": c.name, "arguments": c.arguments} for c in reply.message.tool_calls],
                    "tool_responses": [result.text for result in results],
                    "execution_result": "success",
                }
            if not results:
                await _say(work, messages, Message(Role.USER, "Call one of your tools."))
    finally:
        await model.close()
    raise MergewrightError(f"`{component.name}` made no round of calls that went well")


async def _say(work: Work, messages: list[Message], message: Message) -> None:
    messages.append(message)
    await work.emit(EventKind.MESSAGE, message.encode())


async def _call(work: Work, opened: Mapping[str, Tool], call: ToolCall) -> ToolResult:
    await work.emit(EventKind.TOOL_CALL, {"id": call.id, "name": call.name, "arguments": call.arguments})
    result = await _try(opened, call)
    await work.emit(
        EventKind.TOOL_RESULT, {"id": call.id, "name": call.name, "text": result.text, "ok": result.ok, "seconds": 0.0}
    )
    return result


async def _try(opened: Mapping[str, Tool], call: ToolCall) -> ToolResult:
    if call.name not in opened:
        return ToolResult(f"there is no tool `{call.name}`; there are {', '.join(opened)}", ok=False)
    tool = opened[call.name]
    arguments = parse(call.arguments)
    if isinstance(arguments, str):
        return ToolResult(arguments, ok=False)
    wrong = complaints(arguments, tool.spec.parameters)
    if wrong:
        return ToolResult("; ".join(wrong), ok=False)
    try:
        return await tool.call(arguments)
    except ToolError as error:
        return ToolResult(f"{error.message}{f' ({error.hint})' if error.hint else ''}", ok=False)
