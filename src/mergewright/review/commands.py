"""What a person tells the reviewer in a note: one of a few commands, or just talk."""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Kind = Literal["dismiss", "override", "incorrect", "review", "fix", "help"]
_VERBS: dict[str, Kind] = {
    "dismiss": "dismiss",
    "override": "override",
    "incorrect": "incorrect",
    "wrong": "incorrect",
    "review": "review",
    "re-review": "review",
    "rereview": "review",
    "fix": "fix",
    "resolve": "fix",
    "help": "help",
}
_WITH_REASON = frozenset({"dismiss", "override", "incorrect"})
_REASON = re.compile(
    r"\s*(?:[:,-]\s*)?(?:(?:because|since|as)\b[:,]?\s*)(?P<reason>.*)|\s*:\s*(?P<other>.*)", re.I | re.S
)
LONGEST = 2_000
"""Characters of a reason that are kept."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is to be done, and why."""

    kind: Kind
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something that was meant as a command; `form` is how it should read."""

    form: str


def forms(reviewer: str) -> str:
    """List the commands, as the help and every refusal show them."""
    rows = {
        "dismiss because …": "takes this finding back, for good",
        "incorrect because …": "disputes this finding; the next review answers the argument",
        "override because …": "lifts the whole request for changes",
        "review": "asks for another review",
        "fix": "lets the developer flow work this thread in",
        "help": "shows this",
    }
    return "\n".join(f"- `@{reviewer} {form}` {told}" for form, told in rows.items())


def parse(note: str, reviewer: str) -> Command | Malformed | None:
    """Read a note; None for one that only talks. Quotes and code are nobody's command."""
    for start, line in own_lines(note):
        match = re.match(rf"\s*@{re.escape(reviewer)}\b[,:]?\s+(?P<verb>[\w-]+)", line, re.IGNORECASE)
        if match is None:
            continue
        verb, rest = match["verb"].lower(), note[start + match.end() :]
        if verb not in _VERBS:
            near = get_close_matches(verb, _VERBS, n=1, cutoff=0.8)
            # A word that only looks like a verb is talk, unless a reason follows as in a command.
            meant = near and (verb[:3] == near[0][:3] or _REASON.match(rest))
            return Malformed(_form(_VERBS[near[0]], reviewer)) if meant else None
        kind = _VERBS[verb]
        if kind not in _WITH_REASON:
            # "review the naming, please" is talk: a command stands alone or with "this", "again", "it".
            alone = re.fullmatch(
                r"\s*(this|it|again|now|please|with mergewright|[.!])*\s*", rest.split("\n", 1)[0], re.I
            )
            return Command(kind) if alone else None
        found = _REASON.match(rest)
        reason = " ".join(((found["reason"] or found["other"] or "") if found else "").split())
        return Command(kind, reason[:LONGEST]) if len(reason) >= 3 else Malformed(_form(kind, reviewer))
    return None


def _form(kind: Kind, reviewer: str) -> str:
    return f"@{reviewer} {kind} because …" if kind in _WITH_REASON else f"@{reviewer} {kind}"


def own_lines(note: str) -> list[tuple[int, str]]:
    """Give the lines that the note's author speaks, with where each begins."""
    found, position, fence = [], 0, ""
    for line in note.splitlines(keepends=True):
        opened = re.match(r"\s{0,3}(`{3,}|~{3,})", line)
        if opened and not fence:
            fence = opened[1]
        elif fence:
            fence = "" if line.strip().startswith(fence) else fence
        elif not line.lstrip().startswith(">") and not line.startswith(("    ", "\t")):
            found.append((position, line))
        position += len(line)
    return found
