"""A reply's tool calls, answered: checked, run in order, and every intent and result written down."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from mergewright.agent.arguments import complaints, parse, tidy
from mergewright.agent.filetext import encodable
from mergewright.agent.tools.finish import NAME as FINISH
from mergewright.agent.transcript import Transcript
from mergewright.domain.agent import Access, Message, Tool, ToolCall, ToolResult, ToolSpec
from mergewright.domain.errors import ToolError
from mergewright.domain.session import JSON, EventKind

Log = Callable[[EventKind, Mapping[str, JSON]], Awaitable[None]]
Objections = Callable[[], Awaitable[list[str]]]

INTERRUPTED = (
    "[interrupted: the process was killed while this call ran. It may have been done, in part, or not at all. "
    "Look before you do it again.]"
)
EMPTY = "(empty)"
"""What stands for a reply without any text or call, which providers refuse to read again."""
# What a model wrote as arguments that cannot be read goes back to it under this name: some servers read
# the arguments of earlier calls and refuse the whole conversation when one is not JSON.
_NOT_JSON = "not_json"
MOST_CALLS = 64
"""Calls of one reply that are done."""
AT_ONCE = 8
"""Calls that are done side by side: each may need a sandbox with all its memory."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Answers the calls that are pending in a transcript."""

    transcript: Transcript
    tools: Mapping[str, Tool]
    finish: ToolSpec
    objections: Objections
    unheard: Callable[[], Awaitable[bool]]
    """Whether a person has written what the model has not read yet."""
    log: Log
    clock: Callable[[], float]

    async def answer_next(self) -> None:
        """Answer the next call, together with the calls after it as long as all of them only look."""
        first = next(iter(self.transcript.pending.values()))
        if first.id in self.transcript.begun and self._access(first) is Access.WRITE:
            facts: dict[str, JSON] = {"interrupted": True}
            # Nobody knows whether the edit was made, so the tests before it prove nothing about it.
            if first.name in {"edit", "write"}:
                facts["changed"] = True
            return await self._result(first, ToolResult(INTERRUPTED, ok=False, facts=facts), 0.0)
        calls = [first]
        if self._side_by_side(first):
            for call in [*self.transcript.pending.values()][1:AT_ONCE]:
                if not self._side_by_side(call):
                    break
                calls.append(call)
        for call in calls:
            if call.id not in self.transcript.begun:
                await self.log(EventKind.TOOL_CALL, {"id": call.id, "name": call.name, "arguments": _shown(call)})
        for call, (result, seconds) in zip(calls, await _all(self._timed, calls), strict=True):
            await self._result(call, result, seconds)

    def _access(self, call: ToolCall) -> Access:
        return self.tools[call.name].access if call.name in self.tools else Access.READ

    def _side_by_side(self, call: ToolCall) -> bool:
        return call.name in self.tools and self.tools[call.name].access is Access.READ

    async def _timed(self, call: ToolCall) -> tuple[ToolResult, float]:
        started = self.clock()
        result = await self._answer(call)
        return result, self.clock() - started

    async def _answer(self, call: ToolCall) -> ToolResult:
        if len(self.transcript.batch) >= MOST_CALLS:
            return _fault("too many calls", f"not done: a reply may hold {MOST_CALLS} calls at most")
        tool = self.tools.get(call.name)
        if tool is None and call.name != FINISH:
            return _fault("unknown tool", f"there is no tool `{call.name}`: {', '.join([*self.tools, FINISH])}")
        spec = tool.spec if tool else self.finish
        value = parse(call.arguments)
        if isinstance(value, str) or value.keys() == {_NOT_JSON}:
            said = parse(str(value[_NOT_JSON])) if isinstance(value, dict) else value
            cut = " (your reply was cut off at its length limit: do less in one reply)" if self.transcript.cut else ""
            return _fault("bad JSON", f"{said}{cut}; write the arguments as one JSON object")
        value = tidy(value, spec.parameters)
        if wrong := complaints(value, spec.parameters, closed=tool is not None):
            return _fault("bad arguments", f"the arguments of `{call.name}` do not fit: {'; '.join(wrong[:8])}")
        if tool is None:
            return await self._finish(call, value)
        try:
            return await tool.call(value)
        except ToolError as error:
            return ToolResult(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), ok=False)

    async def _finish(self, call: ToolCall, answer: dict[str, JSON]) -> ToolResult:
        if call.id != next(reversed(self.transcript.pending)):
            return ToolResult("error: `finish` must be the last call of a reply", ok=False)
        if not all(result["ok"] for result in self.transcript.batch):
            return ToolResult("error: a call before `finish` failed: look at its result first", ok=False)
        if await self.unheard():
            return ToolResult("Not finished yet: a person has written to you meanwhile. Read that first.", ok=False)
        wrong = [] if self.transcript.refused else await self.objections()
        if wrong:
            text = "\n- ".join(["Not finished yet:", *wrong])
            return ToolResult(f"{text}\nIf it is meant so, call finish again.", ok=False, facts={"refused": True})
        return ToolResult("finished", facts={"answer": answer})

    async def _result(self, call: ToolCall, result: ToolResult, seconds: float) -> None:
        if call.name == "plan" and "tasks" in result.facts:
            await self.log(EventKind.PLAN, {"tasks": result.facts["tasks"]})
        data = {**result.facts, "id": call.id, "name": call.name, "text": encodable(result.text), "ok": result.ok}
        await self.log(EventKind.TOOL_RESULT, {**data, "seconds": round(seconds, 3)})


def well_formed(message: Message) -> Message:
    """A model's message as every provider takes it back: not empty, ids that differ, arguments that are JSON."""
    calls: list[ToolCall] = []
    # Far too many are forgotten here; of those that are too many the model is told, call by call.
    for number, call in enumerate(message.tool_calls[: 4 * MOST_CALLS], 1):
        taken = {one.id for one in calls}
        name = call.id if call.id and call.id not in taken else f"{call.id or 'call'}-{number}"
        arguments = call.arguments.strip() or "{}"
        if isinstance(parse(arguments), str):
            arguments = json.dumps({_NOT_JSON: encodable(call.arguments)})
        calls.append(ToolCall(name, encodable(call.name), arguments))
    text = message.text if calls or message.text.strip() else EMPTY
    return Message(message.role, encodable(text), tuple(calls), provider=message.provider)


def _fault(kind: str, text: str) -> ToolResult:
    return ToolResult(f"error: {text}", ok=False, facts={"fault": kind})


def _shown(call: ToolCall) -> JSON:
    value = parse(call.arguments)
    return call.arguments if isinstance(value, str) else value


async def _all(
    run: Callable[[ToolCall], Awaitable[tuple[ToolResult, float]]], calls: Sequence[ToolCall]
) -> list[tuple[ToolResult, float]]:
    """Run side by side; when one breaks, the others are ended before its error goes on."""
    if len(calls) == 1:
        return [await run(calls[0])]
    tasks = [asyncio.ensure_future(run(call)) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
