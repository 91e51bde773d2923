"""What of a diff is shown to the model, in which request, and what is not and why: nothing goes in silence."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from posixpath import basename, dirname

from mergewright.domain.review import Coverage, Seen
from mergewright.review import globs
from mergewright.review.diff import FileDiff, Hunk, Line

_LOCK = re.compile(
    r"^(package-lock|npm-shrinkwrap|packages\.lock)\.json$|^pnpm-lock\.yaml$|^bun\.lockb$|^go\.sum$|^gradle\.lockfile$"
    r"|^(yarn|composer|Gemfile|Cargo|poetry|Pipfile|uv|pdm|mix|flake)\.lock$"
)
_VENDORED = re.compile(r"(^|/)(vendor|node_modules|third_party|bower_components)/")
_GENERATED = re.compile(r"\.min\.(js|css)$|\.(map|snap)$|_pb2(_grpc)?\.pyi?$|\.pb\.go$|(^|/)(dist|__generated__)/")
LONGEST_LINE = 2_000
"""Characters of one line that are shown; a file with a longer one is shown in part."""
TOKEN = 3
"""Bytes that a token has at least, in code: an estimate that errs to the safe side."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Hunks of one file that go into one request."""

    file: FileDiff
    hunks: tuple[Hunk, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class Group:
    """What one request shows."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(piece.file.path for piece in self.pieces))

    def text(self) -> str:
        """Give the diff as the model reads it: less around the hunks than git prints, and every changed line."""
        parts = []
        for piece in self.pieces:
            parts.append(heading(piece.file))
            parts += map(_hunk_text, piece.hunks)
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Plan:
    """The requests to make, and the fate of each file."""

    groups: tuple[Group, ...]
    coverage: tuple[Coverage, ...]
    """One entry a file, as if every request went well."""


def tokens(text: str) -> int:
    """Estimate what a text costs, rather too much than too little."""
    return len(text.encode("utf-8", "surrogateescape")) // TOKEN + 1


def plan_groups(files: Sequence[FileDiff], *, room: int, most: int, exclude: Sequence[str] = ()) -> Plan:
    """Pack the hunks into groups of at most `room` tokens, `most` groups at most; tests stand near their sources."""
    coverage: dict[str, Coverage] = {}
    groups: list[list[Piece]] = []
    used = 0
    for file in sorted(files, key=_neighbourhood):
        changed = file.changed
        if why := _why_not(file, exclude):
            # Whoever writes the change chooses its names: `vendor/` alone lets no code through unread.
            excused = why in {"excluded", "lock file"}
            coverage[file.path] = Coverage(file.path, Seen.SKIPPED, changed, 0, why, excused)
            continue
        shown, over, cut = 0, 0, False
        base = tokens(heading(file))
        for hunk in _split(file.hunks, room - base):
            size = tokens(_hunk_text(hunk))
            begins = not groups or file is not groups[-1][-1].file
            cost = size + (base if begins else 0)
            if not groups or used + cost > room:
                if len(groups) >= most:
                    over += _changed(hunk)
                    continue
                groups.append([])
                used, cost = 0, size + base
            used += cost
            shown += _changed(hunk)
            cut = cut or any(len(line.text) > LONGEST_LINE for line in hunk.lines)
            last = groups[-1]
            if last and last[-1].file is file:
                last[-1] = replace(last[-1], hunks=(*last[-1].hunks, hunk), tokens=last[-1].tokens + size)
            else:
                last.append(Piece(file, (hunk,), cost))
        reason = "over budget" if over else "very long lines are cut" if cut else ""
        seen = Seen.REVIEWED if not over else Seen.PARTLY if shown else Seen.SKIPPED
        coverage[file.path] = Coverage(file.path, Seen.PARTLY if cut and not over else seen, changed, shown, reason)
    made = tuple(Group(number, tuple(pieces)) for number, pieces in enumerate(groups, start=1))
    return Plan(made, tuple(coverage[file.path] for file in files))


def without(coverage: Iterable[Coverage], failed: Sequence[tuple[Group, str]]) -> tuple[Coverage, ...]:
    """Take what failed groups were to show out of the coverage."""
    lost: dict[str, tuple[int, str]] = {}
    for group, why in failed:
        for piece in group.pieces:
            number = sum(map(_changed, piece.hunks)) + lost.get(piece.file.path, (0, ""))[0]
            lost[piece.file.path] = (number, why)
    told = []
    for one in coverage:
        if one.path in lost:
            number, why = lost[one.path]
            shown = max(one.shown - number, 0)
            seen = Seen.PARTLY if shown else Seen.SKIPPED
            one = replace(one, shown=shown, seen=seen, reason=f"failed: {why}")
        told.append(one)
    return tuple(told)


def heading(file: FileDiff) -> str:
    """Name a file in one line, and what became of it as a whole."""
    name = shown_name(file.path)
    told = {
        "renamed": f"renamed from {shown_name(file.old_path)}",
        "mode": f"mode {file.old_mode} to {file.new_mode}",
        "added": "new file",
        "deleted": "deleted",
    }.get(file.status, "")
    mode = f"mode {file.old_mode} to {file.new_mode}" if file.status == "modified" and _mode_changed(file) else ""
    facts = ", ".join(part for part in (told, mode) if part)
    return f"=== {name}{f' ({facts})' if facts else ''}\n"


def shown_name(path: str) -> str:
    """Give a file's name on one line, however it was chosen."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in path)


def _hunk_text(hunk: Hunk) -> str:
    lines = [f"@@ -{hunk.old_start} +{hunk.new_start} @@{f' {hunk.heading}' if hunk.heading else ''}\n"]
    lines += (f"{line.kind}{_shown(line)}\n" for line in hunk.lines)
    return "".join(lines)


def _shown(line: Line) -> str:
    text = line.text.removesuffix("\r").encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]} [… {len(text) - LONGEST_LINE} more]"


def _why_not(file: FileDiff, exclude: Sequence[str]) -> str:
    """Say why a file is not shown; empty when it is."""
    if exclude and globs.matches(file.path, exclude):
        return "excluded"
    if file.submodule:
        return "submodule"
    if file.binary:
        return "binary"
    if _LOCK.match(basename(file.path)):
        return "lock file"
    if _VENDORED.search(file.path):
        return "vendored"
    if _GENERATED.search(file.path):
        return "generated"
    return ""


def _mode_changed(file: FileDiff) -> bool:
    return bool(file.old_mode and file.new_mode and file.old_mode != file.new_mode)


def _neighbourhood(file: FileDiff) -> tuple[str, str]:
    """Sort a test beside what it tests, and files of one folder together."""
    name = re.sub(r"^test_|_test(?=\.)|\.test(?=\.)|\.spec(?=\.)|_spec(?=\.)", "", basename(file.path))
    folder = re.sub(r"(^|/)(tests?|spec|src|lib)(?=/|$)", "", dirname(file.path)).strip("/")
    return folder, name


def _split(hunks: Sequence[Hunk], room: int) -> Iterable[Hunk]:
    """Cut a hunk that is larger than a whole request at a line, and say in the next part where it goes on."""
    for hunk in hunks:
        if not hunk.lines or tokens(_hunk_text(hunk)) <= room:
            yield hunk
            continue
        part: list[Line] = []
        size = 40
        for line in hunk.lines:
            cost = tokens(_shown(line)) + 1
            if part and size + cost > room:
                yield _part(hunk, part)
                part, size = [], 40
            part.append(line)
            size += cost
        yield _part(hunk, part)


def _part(hunk: Hunk, lines: Sequence[Line]) -> Hunk:
    old = next((line.old for line in lines if line.old), hunk.old_start)
    new = next((line.new for line in lines if line.new), hunk.new_start)
    olds, news = (sum(line.kind != kind for line in lines) for kind in "+-")
    return Hunk(old, olds, new, news, hunk.heading, tuple(lines))


def _changed(hunk: Hunk) -> int:
    return sum(line.kind != " " for line in hunk.lines)
