"""OpenAI's chat completions as JSON: our messages to theirs, and their answers to ours."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mergewright.domain.agent import Message, Reply, Role, ToolCall, ToolSpec
from mergewright.domain.session import JSON, Usage

_THOUGHT = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)


def encode_message(message: Message) -> dict[str, JSON]:
    value: dict[str, JSON] = {"role": message.role.value, "content": message.text}
    if message.role is Role.TOOL:
        value["tool_call_id"] = message.call_id
    if message.tool_calls:
        # Some servers refuse empty text beside calls, others a missing key.
        value["content"] = message.text or None
        value["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    return value


def encode_tool(tool: ToolSpec) -> dict[str, JSON]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def decode_message(value: Mapping[str, JSON]) -> Message:
    """Read a message of a request, as `encode_message` wrote it."""
    calls = tuple(
        ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
        for call in value.get("tool_calls") or ()
    )
    return Message(Role(value["role"]), _text(value.get("content")), calls, value.get("tool_call_id", ""))


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Answer:
    """An answer in the making, from the pieces of a stream or from one body."""

    def __init__(self) -> None:
        self.finish_reason = ""
        self.heard = False
        """Whether a choice came at all."""
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._usage: Mapping[str, JSON] = {}

    def add(self, chunk: Mapping[str, JSON]) -> None:
        """Take in one chunk of a stream, or a whole body."""
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage
        for choice in (chunk.get("choices") or ())[:1]:
            self.heard = True
            delta = choice.get("delta") or choice.get("message") or {}
            # `reasoning_content` and its like are left out: thoughts are neither shown nor sent back.
            self._text.append(_text(delta.get("content")))
            self._refusal.append(_text(delta.get("refusal")))
            for call in delta.get("tool_calls") or ():
                self._add_call(call)
            self.finish_reason = choice.get("finish_reason") or self.finish_reason

    def _add_call(self, delta: Mapping[str, JSON]) -> None:
        function = delta.get("function") or {}
        call_id, name, arguments = delta.get("id") or "", function.get("name") or "", function.get("arguments") or ""
        last = max(self._calls, default=-1)
        index = delta.get("index")
        if not isinstance(index, int):
            # Servers that leave the index out send each call whole, or go on with the last one.
            index = last + 1 if name else max(last, 0)
        known = self._calls.get(index)
        if known is not None and name and call_id and known.id and call_id != known.id:
            # Others number every call 0.
            index, known = last + 1, None
        if known is None:
            known = self._calls[index] = _Call()
        known.id = known.id or call_id
        known.name = known.name or name
        known.arguments.append(arguments if isinstance(arguments, str) else json.dumps(arguments))

    def reply(self, earlier_calls: int, sent_characters: int) -> Reply:
        """Give what has come together; an id that the server left out is made from the number of calls before."""
        calls: list[ToolCall] = []
        for index in sorted(self._calls):
            call = self._calls[index]
            call_id = call.id
            if not call_id or any(call_id == other.id for other in calls):
                call_id = f"call_{earlier_calls + len(calls) + 1}"
            calls.append(ToolCall(call_id, call.name, "".join(call.arguments)))
        text = _THOUGHT.sub("", "".join(self._text), count=1) if self._starts_with_thought() else "".join(self._text)
        message = Message(Role.ASSISTANT, text or "".join(self._refusal), tuple(calls))
        return Reply(message, self._count(sent_characters, message), cut=self.finish_reason == "length")

    def _starts_with_thought(self) -> bool:
        return "".join(self._text).lstrip().startswith("<think>")

    def _count(self, sent_characters: int, message: Message) -> Usage:
        if not self._usage:
            # Limits must hold on servers that count nothing, so count about four characters a token.
            written = len(message.text) + sum(len(call.name) + len(call.arguments) for call in message.tool_calls)
            return Usage(1, sent_characters // 4, written // 4)
        details = self._usage.get("prompt_tokens_details") or {}
        return Usage(
            requests=1,
            input_tokens=int(self._usage.get("prompt_tokens") or 0),
            output_tokens=int(self._usage.get("completion_tokens") or 0),
            cached_tokens=int(details.get("cached_tokens") or 0),
        )


def count_calls(messages: Sequence[Message]) -> int:
    return sum(len(message.tool_calls) for message in messages)


def _text(content: JSON) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, dict))
    return ""
