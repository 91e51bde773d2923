"""Attempts to steer the reviewer from the change itself: found by rules, whatever a model would make of them."""

import re
import unicodedata
from collections.abc import Iterable, Sequence

from mergewright.domain.review import Candidate, Severity
from mergewright.review.diff import FileDiff

_ORDER = re.compile(
    r"\b(ignore|disregard|forget|override)\b.{0,40}\b(previous|prior|above|earlier|all|your|the)\b.{0,30}"
    r"\b(instruction|prompt|rule|guideline|direction)s?\b"
    r"|\b(approve|accept|pass)\b.{0,20}\bthis\b.{0,20}\b(merge request|pull request|change|mr|pr|diff)\b"
    r"|\b(do not|don't|never)\b.{0,20}\b(report|flag|review|mention|comment on)\b.{0,40}"
    r"\b(this|file|line|finding|issue|change|code|defect|anything)"
    r"|\b(you are|act as|as)\b.{0,12}\b(an? |the )?(ai|llm|language model|code review(er)?|assistant|review bot)\b"
    r"|\b(ai|llm|automated|bot)[ -]?(code )?(review(er)?s?|assistants?|agents?)\b.{0,40}"
    r"\b(must|should|skip|ignore|approve|note|please|do not)\b"
    r"|\bset\b.{0,20}\bverdict\b|\bno (findings|issues) (should|must|to) be (reported|raised)\b"
    r"|<\|(im_start|im_end|system|endoftext)\|>|\[/?INST\]|<</?SYS>>",
    re.IGNORECASE,
)
# Letters that change what a person sees against what a program reads, and whole texts in tag characters.
_HIDDEN = re.compile("[\u202a-\u202e\u2066-\u2069\u200b\u2060\u00ad]|[\U000e0000-\U000e007f]")
MOST = 5
"""Findings of this kind in one review; more say nothing new."""


def steering(files: Sequence[FileDiff]) -> list[Candidate]:
    """Give a finding for each added line or file name that speaks to its reviewer or hides what it says."""
    return list(_first(_found(files)))


def _first(found: Iterable[Candidate]) -> Iterable[Candidate]:
    for number, one in enumerate(found):
        if number == MOST:
            return
        yield one


def _found(files: Sequence[FileDiff]) -> Iterable[Candidate]:
    for file in files:
        words = re.sub(r"[_\-./]+", " ", file.path)
        if _ORDER.search(words) or _HIDDEN.search(file.path):
            yield _candidate(file.path, 0, "", "the name of this file speaks to its reviewer or hides letters")
        for hunk in file.hunks:
            for line in hunk.lines:
                if line.kind != "+" or line.new is None:
                    continue
                quote = line.text if len(line.text) <= 4_000 else ""
                if hidden := _HIDDEN.search(line.text):
                    name = unicodedata.name(hidden[0], f"U+{ord(hidden[0]):04X}")
                    yield _candidate(file.path, line.new, quote, f"this line holds a letter nobody sees ({name})")
                elif _ORDER.search(line.text[:4_000]):
                    yield _candidate(file.path, line.new, quote, "this line gives its reviewer orders")


def _candidate(path: str, line: int, quote: str, what: str) -> Candidate:
    return Candidate(
        path=path,
        line=line,
        quote=quote,
        severity=Severity.MAJOR,
        category="injection",
        title=f"A person must look at this: {what}",
        body="The reviewer takes no orders from a change, and approves none that seems to give any. "
        "If it is meant for something else, dismiss this finding and say why; a person has to approve then.",
        source="steering",
        rule="steering",
    )
