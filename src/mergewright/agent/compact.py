"""A conversation that has grown too long, made shorter: old results become one line each."""

import json
from collections.abc import Sequence
from dataclasses import replace

from mergewright.agent.filetext import clip_lines
from mergewright.domain.agent import Message, Role, ToolCall
from mergewright.domain.session import JSON

NOTE = (
    "[The conversation became longer than you can take. Older results above were cut to one line; "
    "look again at what you still need, in smaller parts.]"
)
_SHORT = 200


def compact(messages: Sequence[Message]) -> list[Message]:
    """Cut old tool results to a line each; the newest quarter of them is kept.

    The outcome depends on the messages alone, so that a run that goes on later rebuilds the same.
    """
    results = [n for n, message in enumerate(messages) if message.role is Role.TOOL]
    room = sum(len(messages[n].text) for n in results) // 4
    out = list(messages)
    for n in reversed(results):
        text = messages[n].text
        if len(text) <= max(room, _SHORT):
            room -= len(text)
            continue
        newest = n == results[-1]
        out[n] = replace(messages[n], text=clip_lines(text, room) if newest else _one_line(text))
        room = 0
    newest_asking = max((n for n, m in enumerate(messages) if m.role is Role.ASSISTANT), default=0)
    for n, message in enumerate(messages[:newest_asking]):
        # What a provider signed must go back as it came.
        if message.tool_calls and not message.provider:
            out[n] = replace(message, tool_calls=tuple(_short_call(call) for call in message.tool_calls))
    return out


def size(messages: Sequence[Message]) -> int:
    """Characters of a conversation."""
    return sum(len(m.text) + sum(len(call.arguments) for call in m.tool_calls) for m in messages)


def _one_line(text: str) -> str:
    first = text.split("\n", 1)[0][:_SHORT]
    return f"{first} [… {len(text) - len(first)} more characters left out]"


def _short_call(call: ToolCall) -> ToolCall:
    if len(call.arguments) <= 2 * _SHORT:
        return call
    return replace(call, arguments=json.dumps(_shorten(json.loads(call.arguments)), ensure_ascii=False))


def _shorten(value: JSON) -> JSON:
    if isinstance(value, str) and len(value) > _SHORT:
        return _one_line(value)
    if isinstance(value, list):
        return [_shorten(item) for item in value]
    return {name: _shorten(item) for name, item in value.items()} if isinstance(value, dict) else value
