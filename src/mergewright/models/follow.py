"""Which recorded reply answers a conversation, found by what was called and what came back."""

import json
from collections.abc import Mapping, Sequence

from mergewright.domain.agent import Message, Reply, Role, ToolCall
from mergewright.domain.errors import ReplayDiverged
from mergewright.models.normalise import find_work_tree, hide_work_tree, normalise, show_work_tree
from mergewright.models.recording import Exchange, new_results

INTERRUPTED = "[interrupted"
"""A result that begins so stands for a command that a kill cut short: it agrees with any other."""
DIFF_LINES = 24


def follow(conversations: Mapping[str, Sequence[Exchange]], label: str, messages: Sequence[Message]) -> Reply:
    """Find the recorded reply; raises ReplayDiverged, saying where, when the conversation went another way.

    Nothing is remembered between two questions, so that a resumed session may ask one again. The wording of prompts
    is never compared. Results before the last were compared when they were new, and may have been shortened since.
    """
    exchanges = conversations.get(label)
    if exchanges is None:
        known = ", ".join(f"`{name}`" for name in conversations) or "none"
        raise ReplayDiverged(f"The recording holds no conversation `{label}`; it holds {known}")
    work_tree = find_work_tree(messages)
    said = [message for message in messages if message.role is Role.ASSISTANT]
    number = len(said)
    if number >= len(exchanges):
        raise ReplayDiverged(f"The recording of `{label}` ends after {len(exchanges)} exchanges; it was asked for more")
    for index, message in enumerate(said):
        if message.tool_calls == exchanges[index].reply.message.tool_calls:
            continue
        recorded = _calls(exchanges[index].reply.message.tool_calls, "")
        now = _calls(message.tool_calls, work_tree)
        if recorded != now:
            raise _diverged(label, index, "the tool calls differ from the recorded ones", recorded, now)
    _compare_results(exchanges, label, messages, work_tree)
    reply = exchanges[number].reply
    escaped = json.dumps(work_tree)[1:-1]
    calls = tuple(
        ToolCall(call.id, call.name, show_work_tree(call.arguments, escaped)) for call in reply.message.tool_calls
    )
    text = show_work_tree(reply.message.text, work_tree)
    return Reply(Message(Role.ASSISTANT, text, calls), reply.usage, reply.cut)


def _compare_results(exchanges: Sequence[Exchange], label: str, messages: Sequence[Message], work_tree: str) -> None:
    number = sum(message.role is Role.ASSISTANT for message in messages)
    got = {message.call_id: message.text for message in new_results(messages)}
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    for result in exchanges[number].results:
        where = f"`{names.get(result.id, '?')}` ({result.id})"
        if result.id not in got:
            raise _diverged(label, number, f"the result of {where} is missing", result.text, "")
        text = got[result.id]
        if INTERRUPTED in {text[: len(INTERRUPTED)], result.text[: len(INTERRUPTED)]}:
            continue
        now = normalise(text, work_tree=work_tree)
        # What was normalised by an older table is brought up to this one.
        recorded = normalise(result.text)
        if now != recorded:
            raise _diverged(label, number, f"the result of {where} differs from the recorded one", recorded, now)


def _calls(calls: Sequence[ToolCall], work_tree: str) -> str:
    """Tool calls as lines that can be compared: the name and the arguments as canonical JSON."""
    return "\n".join(f"{call.name} {_canonical(hide_work_tree(call.arguments, work_tree))}" for call in calls)


def _canonical(arguments: str) -> str:
    try:
        value = json.loads(arguments.strip() or "{}")
        if isinstance(value, dict):
            return json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        pass
    # What cannot be read as arguments goes back to the model, and so comes back to us, under this name.
    return json.dumps({"not_json": arguments}, ensure_ascii=False)


def _diverged(label: str, number: int, what: str, recorded: str, now: str) -> ReplayDiverged:
    import difflib

    lines = difflib.unified_diff(recorded.splitlines(), now.splitlines(), "recorded", "now", lineterm="", n=1)
    diff = [line if len(line) <= 200 else line[:199] + "…" for line in lines]
    if len(diff) > DIFF_LINES:
        diff = [*diff[:DIFF_LINES], f"… {len(diff) - DIFF_LINES} more lines"]
    return ReplayDiverged("\n".join([f"The replay of `{label}` went another way at exchange {number}: {what}", *diff]))
