"""Whether a note speaks to one of our accounts, and what it says."""

import re

from mergewright.review.commands import own_lines

LONGEST = 20_000
"""Characters of what somebody wants that are kept."""
READ = 50_000
"""Characters of a note in which we look for our name: a note can have a million, and be all line ends."""
SHORT = 200
_TICKS = re.compile(r"`+")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_ALL = re.compile(
    r"(?:please\s+)?(?:fix|address|resolve|handle|work\s+in)(?:\s+(?:it|this|that|them|all|these|those|the|open|of|"
    r"feedback|threads?|comments?|review|findings?|please|now))*\s*[.!]?",
    re.IGNORECASE,
)


def mentioned(note: str, username: str) -> str | None:
    """Give what a note says to an account; None where it does not speak to it, or only in code, quotes or comments."""
    if not username:
        return None
    note = note[:READ]
    name = re.compile(rf"(?<![\w./@-])@{re.escape(username)}(?![\w-]|\.\w)", re.IGNORECASE)
    spoken = "".join(line for _, line in own_lines(_COMMENT.sub("", note)))
    if not name.search(_without_code(spoken)):
        return None
    return name.sub("", note, count=1).strip(" \t\r\n,:")[:LONGEST]


def wants_all(text: str) -> bool:
    """Whether what is wanted of a merge request is no more than that its open threads be worked in."""
    return not text or (len(text) <= SHORT and _ALL.fullmatch(text) is not None)


def _without_code(text: str) -> str:
    """Leave code spans out; each goes from a run of backticks to the next that is as long."""
    runs = [(one.start(), one.end()) for one in _TICKS.finditer(text)]
    closing: dict[int, int] = {}
    closes = [-1] * len(runs)
    for number in range(len(runs) - 1, -1, -1):
        length = runs[number][1] - runs[number][0]
        closes[number] = closing.get(length, -1)
        closing[length] = number
    kept, position, number = [], 0, 0
    while number < len(runs):
        last = closes[number]
        if last >= 0:
            kept.append(text[position : runs[number][0]])
            position, number = runs[last][1], last
        number += 1
    return "".join([*kept, text[position:]])
