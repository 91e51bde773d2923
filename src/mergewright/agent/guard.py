"""What ends an agent's run that leads nowhere: limits used up, and the same step again and again."""

import hashlib
import json
import math
import re
from collections.abc import Sequence

from mergewright.domain.agent import Limits, ToolCall
from mergewright.domain.session import Usage

SAME = 4
"""So many identical actions with identical results in a row end a run."""
ASKS = 3
"""So many times in a row the model is told what was wrong with its reply."""
WARN_AT = 0.85

_VOLATILE = re.compile(
    r"\b\d+(?:\.\d+)?(?= ?(?:ns|us|µs|ms|s|sec|secs|seconds?|minutes?|m)\b)"
    r"|\b\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?\b|\b0x[0-9a-fA-F]+\b|(?<=/)\d+(?=\.txt\b)|(?<=/tmp/)[\w.-]+"
)


def same_step(call: ToolCall, result: str) -> str:
    """A short print of an action and its result that is blind to durations, clock times and addresses."""
    said = json.dumps([call.name, json.loads(call.arguments), _VOLATILE.sub("0", result)], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def going_round(prints: Sequence[str]) -> bool:
    """Whether the newest steps were all the same."""
    return len(prints) >= SAME and len(set(prints[-SAME:])) == 1


def _used(limits: Limits, replies: int, seconds: float, usage: Usage) -> list[tuple[float, str]]:
    tokens = usage.input_tokens + usage.output_tokens
    found = [
        (_share(replies, limits.turns), f"{replies} of {limits.turns} turns"),
        (_share(tokens, limits.tokens), f"{tokens} of {limits.tokens} tokens"),
        (_share(seconds, limits.seconds), f"{seconds:.0f} of {limits.seconds:.0f} seconds"),
    ]
    if limits.cost is not None:
        found.append((_share(usage.cost or 0.0, limits.cost), f"${usage.cost or 0.0:.2f} of ${limits.cost:.2f}"))
    return found


def _share(used: float, limit: float) -> float:
    return used / limit if limit > 0 else 1.0


def used_up(limits: Limits, replies: int, seconds: float, usage: Usage) -> str:
    """Which limit is reached; empty while none is."""
    return next((words for share, words in _used(limits, replies, seconds, usage) if share >= 1), "")


def nearly_used_up(limits: Limits, replies: int, seconds: float, usage: Usage) -> str:
    """Which limit is so near that the model must come to an end; empty while none is."""
    share, words = max(_used(limits, replies, seconds, usage))
    # Where a step costs much, the next one as dear as those before it would be over the limit unwarned.
    next_is_last = replies > 0 and share * (1 + 1 / replies) > 1 - 1e-9
    return f"{words} ({math.floor(share * 100)} %)" if share >= WARN_AT or next_is_last else ""
