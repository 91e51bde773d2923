"""Where in a diff a note stands, held to GitLab's rules for line numbers."""

import hashlib
import json
import re
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.diffs import DiffLine, FileDiff, PlacedLine, new_line_of, placed_lines
from mergewright.localforge.errors import Refused, bad_request
from mergewright.localforge.repository import Repository
from mergewright.localforge.tables import MergeRequest, Version

NO_LINE_CODE = 'Note {:line_code=>["can\'t be blank", "must be a valid line code"]}'
TYPES = ("text", "file", "image")
_CODE = re.compile(r"(?P<path>[0-9a-f]{40})_(?P<old>\d{1,9})_(?P<new>\d{1,9})", re.ASCII)


def line_code(path: str, placed: PlacedLine) -> str:
    """GitLab's name of a line: its file and how far both sides have been read when it comes."""
    return f"{digest(path)}_{placed.old_at}_{placed.new_at}"


def digest(path: str) -> str:
    """Name a path, or another text, by 40 hexadecimal digits, as GitLab does in the names of lines."""
    return hashlib.sha1(path.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def is_current(position: dict[str, Any], merge_request: MergeRequest) -> bool:
    """Whether a position stands in the newest diff; else the note is outdated."""
    return bool(
        position.get("head_sha") == merge_request.sha
        and position.get("base_sha") == merge_request.base_sha
        and position.get("start_sha") == merge_request.start_sha
    )


def sent_position(sent: object) -> dict[str, Any] | None:
    """The position of a request's parameters, which may come as JSON in a form; None when there is none."""
    if isinstance(sent, str) and sent.startswith("{"):
        try:
            sent = json.loads(sent)
        except (ValueError, RecursionError) as error:
            raise Refused(400, {"error": "position is invalid"}) from error
    if sent in (None, "", {}):
        return None
    if not isinstance(sent, dict):
        raise Refused(400, {"error": "position is invalid"})
    return sent


def read_position(
    session: Session, repository: Repository, merge_request: MergeRequest, sent: dict[str, Any]
) -> dict[str, Any]:
    """Check a position against the merge request's diff and return it whole; a wrong one is a 400."""
    for name in ("base_sha", "start_sha", "head_sha", "position_type"):
        if not sent.get(name):
            raise Refused(400, {"error": f"position[{name}] is missing"})
    kind = sent["position_type"]
    if kind not in TYPES:
        raise Refused(400, {"error": "position[position_type] does not have a valid value"})
    refs = tuple(str(sent[name]) for name in ("base_sha", "start_sha", "head_sha"))
    if refs not in _known_refs(session, merge_request):
        raise bad_request(NO_LINE_CODE)
    old_path, new_path = _path(sent, "old_path"), _path(sent, "new_path")
    base, start, head = refs
    file = next((f for f in repository.diff(base, head) if _is_file(f, old_path, new_path)), None)
    if file is None:
        raise bad_request(NO_LINE_CODE)
    position: dict[str, Any] = {
        "base_sha": base,
        "start_sha": start,
        "head_sha": head,
        "old_path": file.old_path,
        "new_path": file.new_path,
        "position_type": kind,
    }
    if kind == "image":
        return position | {key: _number(sent, key) for key in ("width", "height", "x", "y")}
    if kind == "file":
        return position
    lines = Lines(repository, base, file)
    placed = lines.find(_number(sent, "old_line"), _number(sent, "new_line"))
    if placed is None:
        raise bad_request(NO_LINE_CODE)
    line_range = _line_range(lines, placed, sent.get("line_range"))
    position |= {"old_line": placed.line.old, "new_line": placed.line.new, "line_range": line_range}
    return position | {"line_code": line_code(file.new_path, placed)}


def _known_refs(session: Session, merge_request: MergeRequest) -> set[tuple[str, ...]]:
    versions = session.scalars(select(Version).where(Version.merge_request_id == merge_request.id))
    known = {(row.base_commit_sha, row.start_commit_sha, row.head_commit_sha) for row in versions}
    return known | {(merge_request.base_sha, merge_request.start_sha, merge_request.sha)}


def _path(sent: dict[str, Any], name: str) -> str | None:
    value = sent.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(400, {"error": f"position[{name}] is invalid"})
    return value or None


def _is_file(file: FileDiff, old_path: str | None, new_path: str | None) -> bool:
    if old_path is None and new_path is None:
        return False
    return old_path in {None, file.old_path} and new_path in {None, file.new_path}


def _number(sent: dict[str, Any], name: str) -> int | None:
    value = sent.get(name)
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value), re.ASCII):
        raise Refused(400, {"error": f"position[{name}] is invalid"})
    return int(str(value))


class Lines:
    """The lines of one file of a diff that can take a note."""

    def __init__(self, repository: Repository, base: str, file: FileDiff) -> None:
        self.repository = repository
        self.base = base
        self.file = file
        self.placed = [] if file.submodule else list(placed_lines(file.diff))

    def find(self, old: int | None, new: int | None) -> PlacedLine | None:
        """An added line has a new number alone, a removed one an old number alone, an unchanged one both."""
        wanted = DiffLine(old, new)
        found = next((placed for placed in self.placed if placed.line == wanted), None)
        # Where a diff shows no line at all (renamed, another mode, binary) there is none to unfold either.
        if found or not self.placed or not old or not new or self.file.new_file or self.file.deleted_file:
            return found
        blob = self.repository.blob(self.base, self.file.old_path)
        count = 0 if blob is None else blob.data.count(b"\n") + (not blob.data.endswith(b"\n"))
        unchanged = 0 < old <= count and new_line_of(self.file.diff, old) == new
        return PlacedLine(wanted, old, new, "") if unchanged else None

    def named(self, code: object) -> PlacedLine | None:
        """The line of a line code; on the side where a line is not, clients write 0 or how far that side is."""
        found = _CODE.fullmatch(code) if isinstance(code, str) else None
        if found is None or found["path"] not in {digest(self.file.new_path), digest(self.file.old_path)}:
            return None
        old, new = int(found["old"]), int(found["new"])
        by_place = (placed for placed in self.placed if (placed.old_at, placed.new_at) == (old, new))
        return self.find(old or None, new or None) or next(by_place, None)


def _line_range(lines: Lines, last: PlacedLine, sent: object) -> dict[str, Any] | None:
    """Check the ends of a note on several lines: both in the diff, in order, and the note at the last."""
    if isinstance(sent, str):
        sent = sent_position(sent)
    if sent in (None, {}):
        return None
    if not isinstance(sent, dict):
        raise Refused(400, {"error": "position[line_range] is invalid"})
    ends: list[PlacedLine] = []
    kept: dict[str, Any] = {}
    for end in ("start", "end"):
        part = sent.get(end)
        if not isinstance(part, dict) or not part.get("line_code"):
            raise Refused(400, {"error": f"position[line_range][{end}][line_code] is missing"})
        placed = lines.named(part["line_code"])
        if placed is None or part.get("type") not in {None, "new", "old", "expanded"}:
            raise bad_request(NO_LINE_CODE)
        ends.append(placed)
        kept[end] = {
            "line_code": line_code(lines.file.new_path, placed),
            "type": part.get("type"),
            "old_line": placed.line.old,
            "new_line": placed.line.new,
        }
    start, end_line = ends
    in_order = start.old_at <= end_line.old_at and start.new_at <= end_line.new_at
    if not in_order or end_line.line != last.line:
        raise bad_request(NO_LINE_CODE)
    return kept
