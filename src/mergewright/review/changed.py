"""What has changed since the last review, as the author means it: a rebase alone changes nothing."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from mergewright.domain.review import Finding, Place
from mergewright.review.diff import FileDiff, Line

Changed = Mapping[str, frozenset[int]]
"""Line numbers on the new head, by path."""


def changed_lines(now: Sequence[FileDiff], before: Sequence[FileDiff], since: Sequence[FileDiff]) -> Changed:
    """Give the lines of the merge request that are new since the last review.

    `now` and `before` are the merge request's diffs on the new and the last reviewed head; `since` is the diff from the
    last reviewed head to the new one, which holds what the target branch brought too. A line counts when it is added
    in both `now` and `since`. Where the author took lines out that the last review still saw, their neighbours count.
    A line that was moved counts where it stands now: what runs before it has changed.
    """
    own = {file.new_path: file for file in now}
    removed = _texts(now, "-", old=True)
    removed.subtract(_texts(before, "-", old=True))
    written = _texts(before, "+", old=False)
    found: dict[str, set[int]] = {path: set() for path in own}
    for file in since:
        if (mine := own.get(file.new_path)) is None:
            continue
        added = {line.new for line in _lines(mine) if line.kind == "+"}
        numbers = found[file.new_path]
        numbers |= {line.new for line in _lines(file) if line.kind == "+" and line.new in added and line.new}
        for hunk in file.hunks:
            for start, end in _runs(hunk.lines):
                taken = [line.text for line in hunk.lines[start:end] if line.kind == "-"]
                # What was replaced stands in the lines that replace it; what the target took out is nobody's change.
                author = any(written[file.old_path, text] > 0 or removed[mine.old_path, text] > 0 for text in taken)
                if len(taken) == end - start and author:
                    before_it = _near(hunk.lines[:start][::-1]) or (hunk.new_start if not hunk.new_lines else 0)
                    numbers |= {number for number in (before_it, before_it + 1) if number}
    return {path: frozenset(numbers) for path, numbers in found.items()}


def _texts(files: Iterable[FileDiff], kind: str, *, old: bool) -> Counter[tuple[str, str]]:
    return Counter(
        (file.old_path if old else file.new_path, line.text)
        for file in files
        for line in _lines(file)
        if line.kind == kind
    )


def touches(place: Place, changed: Changed, files: Mapping[str, FileDiff]) -> bool:
    """Whether a place has to do with what changed: one of its lines did, or it speaks of lines taken out there."""
    numbers = changed.get(place.path, frozenset())
    if place.side == "new":
        return bool(numbers.intersection(place.lines)) if place.line else bool(numbers)
    file = next((one for one in files.values() if one.old_path == place.path), None)
    if file is None:
        return False
    numbers = changed.get(file.new_path, frozenset())
    for hunk in file.hunks:
        for index, line in enumerate(hunk.lines):
            if line.kind == "-" and line.old in place.lines:
                beside = {_near(hunk.lines[:index][::-1]), _near(hunk.lines[index:])}
                if numbers.intersection(beside) or file.status == "deleted":
                    return True
    return False


class Located(NamedTuple):
    """Where an old finding's code is now."""

    finding: Finding
    """With its place on the new head, as far as it can be told."""
    state: Literal["unchanged", "changed", "gone"]
    """`unchanged` when the flagged lines stand there byte by byte, wherever they have moved."""


def locate(finding: Finding, since: Sequence[FileDiff], texts: Mapping[tuple[str, str], Sequence[str]]) -> Located:
    """Follow a finding's lines from the head it was seen on last to the new one.

    `texts` holds the lines of files by side and path, as they are on the new head and its base.
    """
    place = finding.place
    if place.side == "old":
        lines = texts.get(("old", place.path))
        return _by_quote(finding, place.path, lines) if lines is not None else Located(finding, "gone")
    file = next((one for one in since if one.old_path == place.path and one.status != "added"), None)
    if file is None:
        lines = texts.get(("new", place.path))
        if lines is None:
            return Located(finding, "gone")
        return _by_quote(finding, place.path, lines)
    if file.status == "deleted":
        return Located(finding, "gone")
    lines = texts.get(("new", file.new_path))
    if lines is None:
        return Located(finding, "gone")
    if not place.line:
        state: Literal["unchanged", "changed"] = "changed" if file.hunks else "unchanged"
        return Located(replace(finding, place=replace(place, path=file.new_path)), state)
    moved = [_moved(file, number) for number in place.lines]
    if all(moved):
        start, end = moved[0] or 0, moved[-1] or 0
        if end - start == len(moved) - 1:
            return Located(replace(finding, place=Place(file.new_path, end, start)), "unchanged")
    kept = _by_quote(finding, file.new_path, lines)
    if kept.state == "unchanged":
        return kept
    near = next((number for number in moved if number), 0) or _nearest(file, place.line)
    line = min(max(near, 1), max(len(lines), 1))
    return Located(replace(finding, place=Place(file.new_path, line, line)), "changed")


def _by_quote(finding: Finding, path: str, lines: Sequence[str]) -> Located:
    """Look for the flagged lines themselves."""
    quote = finding.quote.split("\n")
    size = len(quote)
    found = [start for start in range(len(lines) - size + 1) if list(lines[start : start + size]) == quote]
    if not finding.quote.strip() or not found:
        state: Literal["unchanged", "changed"] = "unchanged" if not finding.place.line else "changed"
        return Located(replace(finding, place=replace(finding.place, path=path)), state)
    start = min(found, key=lambda number: abs(number + 1 - (finding.place.start_line or finding.place.line)))
    return Located(replace(finding, place=Place(path, start + size, start + 1, finding.place.side)), "unchanged")


def _moved(file: FileDiff, number: int) -> int | None:
    """Give a line's number on the new side; None when it is gone or changed."""
    shift = 0
    for hunk in file.hunks:
        if number < hunk.old_start or (number == hunk.old_start and hunk.old_lines == 0):
            break
        if number < hunk.old_start + hunk.old_lines:
            return next((line.new for line in hunk.lines if line.old == number and line.kind == " "), None)
        shift = (hunk.new_start + hunk.new_lines) - (hunk.old_start + hunk.old_lines)
        shift += (0 if hunk.new_lines else 1) - (0 if hunk.old_lines else 1)
    return number + shift


def _nearest(file: FileDiff, number: int) -> int:
    """Give the new line nearest to where an old one was."""
    for distance in range(1, 200):
        for near in (number - distance, number + distance):
            if near > 0 and (found := _moved(file, near)):
                return found
    return 1


def _lines(file: FileDiff) -> Iterable[Line]:
    return (line for hunk in file.hunks for line in hunk.lines)


def _runs(lines: Sequence[Line]) -> Iterable[tuple[int, int]]:
    """Give where each run of changed lines begins and ends."""
    start = None
    for index, line in enumerate(lines):
        if line.kind == " ":
            if start is not None:
                yield start, index
            start = None
        elif start is None:
            start = index
    if start is not None:
        yield start, len(lines)


def _near(lines: Iterable[Line]) -> int:
    return next((line.new for line in lines if line.new), 0)
