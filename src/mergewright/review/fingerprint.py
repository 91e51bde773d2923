"""What makes two claims the same claim, however they are worded and wherever the code has moved."""

import hashlib
import re
from collections.abc import Sequence

from mergewright.domain.review import Candidate, Finding, Place
from mergewright.review.anchor import Anchored

_QUOTED = re.compile(r"`([^`\n]{1,80})`")
_NAME = re.compile(r"[^\W\d]\w{2,}")


def fingerprint(found: Anchored, lines: Sequence[str], *, origin: str) -> str:
    """Give a claim's name: what kind of claim, about which code, in which file.

    `lines` is the file that the place counts in; `origin` is the path that the file had before the merge request, so
    that a rename keeps it. Blanks do not count, nor does what stands around the code.
    """
    code = _plain(found.quote)
    which = _which(found.place, code, lines)
    parts = (origin, found.place.side, kind(found.candidate), code, str(which))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def kind(claim: Candidate | Finding) -> str:
    """Give what kind of claim it is: an analyzer's rule, or else the category."""
    return f"{claim.source}:{claim.rule}" if claim.rule else claim.category


def _which(place: Place, code: str, lines: Sequence[str]) -> int:
    """Say which of several places with the same code it is, counted from the top."""
    size = len(place.lines)
    earlier = range(max((place.start_line or place.line) - 1, 0))
    return sum(_plain("\n".join(lines[start : start + size])) == code for start in earlier) if code and size < 5 else 0


def _plain(text: str) -> str:
    return " ".join(text.split())


def identifiers(claim: Candidate | Finding) -> frozenset[str]:
    """Give the names that a claim speaks of: those in backticks in its title and body."""
    quoted = " ".join(_QUOTED.findall(f"{claim.title}\n{claim.body}"))
    return frozenset(_NAME.findall(quoted))


def same_claim(one: Candidate | Finding, at: Place, other: Candidate | Finding, there: Place) -> bool:
    """Whether two claims with overlapping lines are one, said in other words.

    Two rules of analyzers are two claims; otherwise they are one when they are of one category or share a name, unless
    both name names and none in common.
    """
    if at.path != there.path or at.side != there.side or not _overlap(at, there):
        return False
    if one.rule and other.rule:
        return kind(one) == kind(other)
    first, second = identifiers(one), identifiers(other)
    if first and second:
        return bool(first & second) and (one.category == other.category or len(first & second) > 1)
    return one.category == other.category


def _overlap(one: Place, other: Place) -> bool:
    return (one.start_line or one.line) <= other.line and (other.start_line or other.line) <= one.line
