"""An assistant's message, written as on the chat-completions wire, as the events of Anthropic's messages API."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

JSON = Any


def anthropic_events(answer: Mapping[str, JSON]) -> list[str]:
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in _events(answer)]


def _events(answer: Mapping[str, JSON]) -> Iterator[dict[str, JSON]]:
    usage = {"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    usage |= answer.get("usage") or {}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5", "content": []}
    yield {"type": "message_start", "message": {**head, "stop_reason": None, "stop_sequence": None, "usage": usage}}
    blocks: list[tuple[dict[str, JSON], list[dict[str, JSON]]]] = []
    if thought := answer.get("thinking"):
        deltas = [{"type": "thinking_delta", "thinking": thought}, {"type": "signature_delta", "signature": "sig-1"}]
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, deltas))
    if text := answer.get("content"):
        blocks.append(({"type": "text", "text": ""}, [{"type": "text_delta", "text": text}]))
    for call in answer.get("tool_calls") or ():
        function = call["function"]
        block = {"type": "tool_use", "id": call["id"], "name": function["name"], "input": {}}
        blocks.append((block, [{"type": "input_json_delta", "partial_json": function["arguments"]}]))
    for index, (block, deltas) in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    reasons = {"length": "max_tokens", "content_filter": "refusal"}
    reason = reasons.get(answer.get("finish_reason", ""), "tool_use" if answer.get("tool_calls") else "end_turn")
    delta = {"stop_reason": reason, "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage["output_tokens"]}}
    yield {"type": "message_stop"}
