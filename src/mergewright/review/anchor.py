"""Where a claim belongs in the diff, and whether the code that it speaks of is there at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergewright.domain.approval import Position
from mergewright.domain.forge import DiffRefs
from mergewright.domain.review import Candidate, Place
from mergewright.review.diff import FileDiff

LONGEST = 40
"""Lines of a finding; a longer range is cut to its end."""


@dataclass(frozen=True, slots=True)
class Anchored:
    """A candidate whose code is where it says."""

    candidate: Candidate
    place: Place
    quote: str
    """The lines as they stand there."""
    in_diff: bool
    """Whether its lines are shown in the diff, changed or around a change."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A candidate that nobody is shown."""

    candidate: Candidate
    reason: str
    """`no such file`, `no such line`, `quote not found`."""


def anchor(
    candidate: Candidate, files: Mapping[str, FileDiff], texts: Mapping[tuple[str, str], Sequence[str]]
) -> Anchored | Dropped:
    """Find the candidate's lines; `texts` holds files' lines by side and path.

    A quote that stands on other lines than it was said to moves the claim there, to the nearest if there are several.
    """
    file = files.get(candidate.path)
    if file is None:
        return Dropped(candidate, "no such file")
    path = file.old_path if candidate.side == "old" else file.new_path
    lines = texts.get((candidate.side, path))
    if candidate.line <= 0 or lines is None:
        if candidate.quote.strip():
            return Dropped(candidate, "quote not found") if lines is None else _by_quote(candidate, file, path, lines)
        if lines is not None or file.binary or file.submodule or file.status in {"mode", "deleted"}:
            return Anchored(candidate, Place(path, side=candidate.side), "", True)
        return Dropped(candidate, "no such file")
    if candidate.quote.strip():
        return _by_quote(candidate, file, path, lines)
    start = min(max(candidate.start_line, 1), candidate.line) if candidate.start_line else candidate.line
    if candidate.line > len(lines):
        return Dropped(candidate, "no such line")
    return _at(candidate, file, path, lines, start, candidate.line)


def _by_quote(candidate: Candidate, file: FileDiff, path: str, lines: Sequence[str]) -> Anchored | Dropped:
    quoted = [line.rstrip() for line in candidate.quote.strip("\n").split("\n")]
    wanted = candidate.start_line or candidate.line
    for trim in (str.rstrip, str.strip):
        have, want = [trim(line) for line in lines], [trim(line) for line in quoted]
        found = [
            start
            for start in range(len(have) - len(want) + 1)
            if have[start] == want[0] and have[start : start + len(want)] == want
        ]
        if found:
            start = min(found, key=lambda number: abs(number + 1 - wanted))
            return _at(candidate, file, path, lines, start + 1, start + len(want))
    if len(quoted) == 1:
        # Part of a line is a quote too, as long as it says something.
        part = quoted[0].strip()
        near = [number for number, line in enumerate(lines, start=1) if len(part) >= 4 and part in line]
        if near:
            line = min(near, key=lambda number: abs(number - wanted))
            return _at(candidate, file, path, lines, line, line)
    return Dropped(candidate, "quote not found")


def _at(candidate: Candidate, file: FileDiff, path: str, lines: Sequence[str], start: int, end: int) -> Anchored:
    start = max(start, end - LONGEST + 1)
    place = Place(path, end, start, candidate.side)
    return Anchored(candidate, place, "\n".join(lines[start - 1 : end]), _shown(file, place))


def _shown(file: FileDiff, place: Place) -> bool:
    numbers = {line.new if place.side == "new" else line.old for hunk in file.hunks for line in hunk.lines}
    return any(number in numbers for number in place.lines)


def position(place: Place, file: FileDiff, refs: DiffRefs) -> Position:
    """Give where a diff note for a place stands, as GitLab counts.

    https://docs.gitlab.com/api/discussions/#create-a-new-thread-in-the-merge-request-diff
    """
    if not place.line or file.binary or file.submodule or not file.hunks:
        return Position(refs, file.old_path, file.new_path, whole_file=True)
    old, new = _numbers(file, place.line, place.side)
    start = place.start_line or place.line
    first = _numbers(file, start, place.side) if start != place.line else None
    return Position(refs, file.old_path, file.new_path, old, new, first)


def _numbers(file: FileDiff, number: int, side: str) -> tuple[int | None, int | None]:
    """Give a line's number on each side; a changed line has one only."""
    if file.status == "added":
        return None, number
    if file.status == "deleted":
        return number, None
    shift = 0
    """How much further the new side is than the old one, before the hunk at hand."""
    for hunk in file.hunks:
        first, length = (hunk.new_start, hunk.new_lines) if side == "new" else (hunk.old_start, hunk.old_lines)
        if number < first or (number == first and length == 0):
            break
        if number < first + length:
            line = next(one for one in hunk.lines if (one.new if side == "new" else one.old) == number)
            return line.old, line.new
        shift = (hunk.new_start + hunk.new_lines) - (hunk.old_start + hunk.old_lines)
        # A hunk without lines on one side names the line before it.
        shift += (0 if hunk.new_lines else 1) - (0 if hunk.old_lines else 1)
    return (number - shift, number) if side == "new" else (number, number + shift)
