"""How pages write times, numbers and code, and what the policy's words mean."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

_TICKS = re.compile(r"`([^`\n]+)`")
APPROVALS: Mapping[str, str] = {
    "advisory": "It neither blocks a merge nor counts anywhere: comments only.",
    "counts": "It counts as one approver in rules that take anybody's approval, and in rules that name the reviewer.",
    "not_counted": "It counts only in rules that name the reviewer; it still clears the reviewer's own request.",
    "required": "It is needed, and one person has to approve besides, even where no rule asks for that.",
}
STATUSES: Mapping[str, str] = {
    "none": "Not reviewed",
    "reviewing": "Reviewing",
    "approved": "Approved",
    "commented": "Commented",
    "changes_requested": "Changes requested",
    "overridden": "Overridden",
    "failed": "Review failed",
}
LOOKS: Mapping[str, str] = {
    "none": "",
    "reviewing": "busy",
    "approved": "good",
    "commented": "",
    "changes_requested": "bad",
    "overridden": "wait",
    "failed": "bad",
    "info": "",
    "minor": "",
    "major": "wait",
    "critical": "bad",
    "blocker": "bad",
}
"""How a status or a severity looks."""
VERDICTS: Mapping[str, str] = {
    "approved": "Approved",
    "reviewed": "Commented",
    "requested_changes": "Changes requested",
}


def when(at: float) -> Markup:
    """Give a time as people and programs read it; nothing for none."""
    if not at:
        return Markup()
    moment = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        moment.isoformat(timespec="seconds"), f"{moment:%Y-%m-%d %H:%M} UTC"
    )


def ticks(text: str) -> Markup:
    """Give a text with what stands in backticks as code; nothing else in it means anything."""
    parts = _TICKS.split(text)
    told = [escape(part) if index % 2 == 0 else Markup("<code>{}</code>").format(part)
            for index, part in enumerate(parts)]  # fmt: skip
    return Markup().join(told)


def number(value: float) -> str:
    """Give a number with its thousands apart."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def money(value: float | None) -> str:
    """Give a cost in US dollars; says so where no price was known."""
    return "price not known" if value is None else f"${value:,.4f}" if value < 1 else f"${value:,.2f}"


def model(name: str) -> str:
    """Give a model's name in a word or two."""
    kind, _, rest = name.partition(":")
    # A recording's name is a path on this machine, which is nobody's business.
    return "a recorded one" if kind == "recorded" else rest if kind in {"openai", "anthropic"} else name or "none"


def span(seconds: float) -> str:
    """Give a duration in its largest two units."""
    left, parts = round(seconds), []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if left >= size:
            parts.append(f"{left // size} {name}")
            left %= size
    return " ".join(parts[:2]) or "0 s"


WORDS: Mapping[str, Any] = {
    "when": when,
    "ticks": ticks,
    "number": number,
    "money": money,
    "model": model,
    "span": span,
    "APPROVALS": APPROVALS,
    "STATUSES": STATUSES,
    "LOOKS": LOOKS,
    "VERDICTS": VERDICTS,
}
"""What templates are given."""
