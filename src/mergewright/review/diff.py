"""A diff as a review reads it: files, hunks and numbered lines."""

import re
from dataclasses import dataclass, field
from typing import Literal, cast

Kind = Literal[" ", "+", "-"]
Status = Literal["added", "deleted", "modified", "renamed", "mode"]
_ESCAPE = re.compile(rb"\\([abtnvfr\"\\]|[0-3][0-7]{2})")
_LETTERS = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}
_SUBMODULE = "160000"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a hunk; bytes that are no UTF-8 stand in `text` as lone surrogates."""

    kind: Kind
    old: int | None
    new: int | None
    text: str
    """Without its line end; a carriage return before that belongs to the text."""


@dataclass(frozen=True, slots=True)
class Hunk:
    """Changed lines with what stands around them."""

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    heading: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What happened to one file; an added or deleted one has its one path on both sides."""

    old_path: str
    new_path: str
    status: Status
    old_mode: str = ""
    new_mode: str = ""
    binary: bool = False
    hunks: tuple[Hunk, ...] = field(default=())

    @property
    def path(self) -> str:
        return self.new_path

    @property
    def submodule(self) -> bool:
        """Whether it is another repository's commit and no file."""
        return _SUBMODULE in {self.old_mode, self.new_mode}

    @property
    def added(self) -> int:
        return sum(line.kind == "+" for hunk in self.hunks for line in hunk.lines)

    @property
    def removed(self) -> int:
        return sum(line.kind == "-" for hunk in self.hunks for line in hunk.lines)

    @property
    def changed(self) -> int:
        """Added and removed lines together."""
        return self.added + self.removed


def parse_diff(raw: bytes) -> tuple[FileDiff, ...]:
    """Read what `git diff -M --full-index` prints with `core.quotePath` off."""
    # One file at a time: the library's objects are many times larger than ours.
    parts = re.split(rb"(?m)^(?=diff --git )", raw)
    return tuple(_file(part.decode("utf-8", "surrogateescape")) for part in parts if part.strip())


def _file(text: str) -> FileDiff:
    start = re.search(r"^@@ ", text, re.MULTILINE)
    header, hunks = (text[: start.start()], text[start.start() :]) if start else (text, "")
    lines = header.split("\n")
    facts = {key: line[len(key) + 1 :] for line in lines for key in _FACTS if line.startswith(f"{key} ")}
    old_path, new_path = _paths(facts)
    index_mode = facts.get("index", "").partition(" ")[2]
    old_mode = facts.get("deleted file mode") or facts.get("old mode") or index_mode
    new_mode = facts.get("new file mode") or facts.get("new mode") or index_mode
    status: Status = "modified"
    if "new file mode" in facts:
        status, old_mode = "added", ""
    elif "deleted file mode" in facts:
        status, new_mode = "deleted", ""
    elif "rename from" in facts:
        status = "renamed"
    elif "old mode" in facts and not hunks:
        status = "mode"
    binary = any(line.startswith(("Binary files ", "GIT binary patch")) for line in lines)
    return FileDiff(old_path, new_path, status, old_mode, new_mode, binary, _hunks(hunks))


_FACTS = (
    *("old mode", "new mode", "deleted file mode", "new file mode", "rename from", "rename to", "index"),
    *("diff --git", "---", "+++"),
)


def _hunks(text: str) -> tuple[Hunk, ...]:
    if not text:
        return ()
    from unidiff.patch import PatchSet

    # The library is given no name: some that a file may have, such as `a b/c`, lead it astray.
    (file,) = PatchSet(f"--- a/file\n+++ b/file\n{text}")
    return tuple(
        Hunk(
            hunk.source_start,
            hunk.source_length,
            hunk.target_start,
            hunk.target_length,
            hunk.section_header,
            tuple(
                Line(
                    cast(Kind, line.line_type), line.source_line_no, line.target_line_no, line.value.removesuffix("\n")
                )
                for line in hunk
                if line.line_type in " +-"
            ),
        )
        for hunk in file
    )


def _paths(facts: dict[str, str]) -> tuple[str, str]:
    if "rename from" in facts:
        return _unquoted(facts["rename from"]), _unquoted(facts["rename to"])
    old, new = (_side(facts[mark]) if mark in facts else None for mark in ("---", "+++"))
    one = new or old
    if one is None:
        # Neither side has lines: both names on the first line are one, behind `a/` and `b/`.
        both = facts["diff --git"]
        one = _side(both[: len(both) // 2]) or ""
    return (old or one, new or one)


def _side(name: str) -> str | None:
    """Give the path behind `a/` or `b/`; None for a side that has no file."""
    plain = _unquoted(name)
    return None if plain == "/dev/null" else plain[2:]


def _unquoted(name: str) -> str:
    """Give a name as it is: git writes one with special characters in quotes."""
    name = name.rstrip("\t")
    if not name.startswith('"') or not name.endswith('"') or len(name) < 2:
        return name
    data = name[1:-1].encode("utf-8", "surrogateescape")

    def letter(match: re.Match[bytes]) -> bytes:
        found = match[1]
        return bytes([int(found, 8)]) if found.isdigit() else _LETTERS.get(found, found)

    return _ESCAPE.sub(letter, data).decode("utf-8", "surrogateescape")
