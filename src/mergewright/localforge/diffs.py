"""A diff as a list of files, each with the lines it changes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SUBMODULE = "160000"
"""Git's mode of a submodule."""
HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What happened to one file between two commits; `diff` holds the hunks alone."""

    old_path: str
    new_path: str
    a_mode: str
    b_mode: str
    diff: str
    status: str
    """Git's letter: A, D, M, R, C or T."""

    @property
    def new_file(self) -> bool:
        return self.status == "A"

    @property
    def deleted_file(self) -> bool:
        return self.status == "D"

    @property
    def renamed_file(self) -> bool:
        return self.status == "R"

    @property
    def submodule(self) -> bool:
        return SUBMODULE in {self.a_mode, self.b_mode}


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line of a diff; a removed line has no new number, an added one no old number."""

    old: int | None
    new: int | None


def parse_diff(raw: bytes, patch: bytes) -> list[FileDiff]:
    """Join `git diff --raw -z` with the patch of the same diff."""
    patches = split_patch(patch)
    fields = iter(raw.decode("utf-8", "replace").split("\0"))
    files: list[FileDiff] = []
    for head in fields:
        if not head.startswith(":"):
            continue
        a_mode, b_mode, _, _, status = head[1:].split(" ")
        old_path = next(fields)
        new_path = next(fields) if status[0] in "RC" else old_path
        # A file that becomes a link, or the other way, is two sections: one that goes and one that comes.
        taken = 2 if status[0] == "T" else 1
        text = "".join(patches[:taken])
        del patches[:taken]
        files.append(FileDiff(old_path, new_path, a_mode, b_mode, text, status[0]))
    return files


def split_patch(patch: bytes) -> list[str]:
    """Cut a patch into the hunks of each file, in order."""
    # Content lines start with a blank, a sign or a backslash, so "diff --git" at a line's start is git's own.
    sections = re.split(rb"(?m)^diff --git .*\n", patch)[1:]
    return [_hunks(section).decode("utf-8", "replace") for section in sections]


def _hunks(section: bytes) -> bytes:
    found = re.search(rb"(?m)^(@@ |Binary files )", section)
    return section[found.start() :] if found else b""


def diff_lines(diff: str) -> Iterator[DiffLine]:
    """Every line of the hunks with its numbers."""
    return (placed.line for placed in placed_lines(diff))


@dataclass(frozen=True, slots=True)
class PlacedLine:
    """A line of a diff and where it stands: how far both files have been read when it comes."""

    line: DiffLine
    old_at: int
    new_at: int
    text: str
    """The line with its sign."""


_AT = re.compile(rb"(?m)^@@ .*$")
_INDEX = re.compile(rb"(?m)^(?:index [0-9a-f]+\.\.([0-9a-f]+)( [0-7]+)?|(?:dis)?similarity index .*)$")


def change_of(patch: bytes) -> bytes:
    """What a patch changes, wherever in the files: without line numbers and the names of what was there before."""
    # Contents start with a blank, a sign or a backslash: what these patterns find is git's own.
    sections = re.split(rb"(?m)^(?=diff --git )", patch)
    return b"".join(_AT.sub(b"@@", _INDEX.sub(_kept_index, section)) for section in sections)


def _kept_index(found: re.Match[bytes]) -> bytes:
    # Of a binary file git shows no contents: there the new name stands for them.
    binary = re.search(rb"(?m)^Binary files ", found.string) is not None
    return (found[1] or b"" if binary else b"") + (found[2] or b"")


def placed_lines(diff: str) -> Iterator[PlacedLine]:
    """Every line of the hunks with its numbers and its place."""
    old = new = 0
    for text in diff.split("\n"):
        if found := HUNK.match(text):
            old, new = int(found[1]), int(found[3])
        elif text.startswith("+"):
            yield PlacedLine(DiffLine(None, new), old, new, text)
            new += 1
        elif text.startswith("-"):
            yield PlacedLine(DiffLine(old, None), old, new, text)
            old += 1
        elif text.startswith(" "):
            yield PlacedLine(DiffLine(old, new), old, new, text)
            old, new = old + 1, new + 1


def new_line_of(diff: str, old_line: int) -> int | None:
    """The number an unchanged old line has in the new file; None when the diff removes it."""
    shift = 0
    for line in diff_lines(diff):
        if line.old == old_line:
            return line.new
        if line.old is not None and line.old > old_line:
            break
        if line.old is None:
            shift += 1
        elif line.new is None:
            shift -= 1
    return old_line + shift


def old_line_of(diff: str, new_line: int) -> int | None:
    """The number an unchanged new line has in the old file; None when the diff adds it."""
    shift = 0
    for line in diff_lines(diff):
        if line.new == new_line:
            return line.old
        if line.new is not None and line.new > new_line:
            break
        if line.new is None:
            shift += 1
        elif line.old is None:
            shift -= 1
    return new_line + shift
