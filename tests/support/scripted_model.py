"""A model whose replies were written beforehand."""

import json
from collections.abc import Callable, Mapping, Sequence

from mergewright.domain.agent import Message, Reply, Role, ToolCall, ToolSpec
from mergewright.domain.session import JSON, Usage

Script = Callable[[int, Sequence[Message]], Reply]
"""Given the number of the request (0 for the first) and the conversation, the reply."""


def call(name: str, /, **arguments: JSON) -> ToolCall:
    """A tool call; `says` numbers the calls of one reply."""
    return ToolCall("call_1", name, json.dumps(arguments))


def says(*calls: ToolCall, text: str = "", usage: Usage | None = None, cut: bool = False) -> Reply:
    """A reply that asks for these calls, in order."""
    numbered = tuple(ToolCall(f"call_{n}", c.name, c.arguments) for n, c in enumerate(calls, 1))
    used = usage or Usage(requests=1, input_tokens=100, output_tokens=10)
    return Reply(Message(Role.ASSISTANT, text, numbered), used, cut)


class ScriptedModel:
    """Answers with the next reply of a list, or with what a function makes of the conversation."""

    def __init__(self, script: Sequence[Reply | Exception] | Script, *, name: str = "scripted") -> None:
        self.name = name
        self.script = script
        self.requests: list[tuple[str, tuple[Message, ...], tuple[ToolSpec, ...]]] = []
        """Every request: the conversation's name, its messages, the tools."""

    async def reply(self, conversation: str, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Reply:
        number = len(self.requests)
        self.requests.append((conversation, tuple(messages), tuple(tools)))
        if callable(self.script):
            return self.script(number, messages)
        if number >= len(self.script):
            raise AssertionError(f"the script of {len(self.script)} replies is at its end; last: {messages[-1]}")
        answer = self.script[number]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        return None


def last_result(messages: Sequence[Message] | Mapping[str, JSON]) -> str:
    """The newest tool result of a conversation."""
    assert not isinstance(messages, Mapping)
    return next(message.text for message in reversed(messages) if message.role is Role.TOOL)
