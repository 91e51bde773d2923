"""Where in a diff a note stands, held to GitLab's rules for line numbers."""

import hashlib
import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.diffs import DiffLine, FileDiff, diff_lines, new_line_of
from mergewright.localforge.errors import Refused, bad_request
from mergewright.localforge.repository import Repository
from mergewright.localforge.tables import MergeRequest, Version

NO_LINE_CODE = 'Note {:line_code=>["can\'t be blank", "must be a valid line code"]}'
TYPES = ("text", "file", "image")


def line_code(path: str, old: int | None, new: int | None) -> str:
    return f"{hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()}_{old or 0}_{new or 0}"


def read_position(
    session: Session, repository: Repository, merge_request: MergeRequest, sent: dict[str, Any]
) -> dict[str, Any]:
    """Check a position against the merge request's diff and return it whole; a wrong one is a 400."""
    for name in ("base_sha", "start_sha", "head_sha", "position_type"):
        if not sent.get(name):
            raise Refused(400, {"error": f"position[{name}] is missing"})
    kind = str(sent["position_type"])
    if kind not in TYPES:
        raise Refused(400, {"error": "position[position_type] does not have a valid value"})
    refs = tuple(str(sent[name]) for name in ("base_sha", "start_sha", "head_sha"))
    if refs not in _known_refs(session, merge_request):
        raise bad_request(NO_LINE_CODE)
    old_path, new_path = sent.get("old_path"), sent.get("new_path")
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
    old, new = _number(sent, "old_line"), _number(sent, "new_line")
    _check_line(repository, file, head, old, new)
    position |= {"old_line": old, "new_line": new, "line_range": _line_range(sent.get("line_range"))}
    return position | {"line_code": line_code(file.new_path, old, new)}


def _known_refs(session: Session, merge_request: MergeRequest) -> set[tuple[str, ...]]:
    versions = session.scalars(select(Version).where(Version.merge_request_id == merge_request.id))
    known = {(row.base_commit_sha, row.start_commit_sha, row.head_commit_sha) for row in versions}
    return known | {(merge_request.base_sha, merge_request.start_sha, merge_request.sha)}


def _is_file(file: FileDiff, old_path: object, new_path: object) -> bool:
    if old_path is None and new_path is None:
        return False
    return old_path in {None, file.old_path} and new_path in {None, file.new_path}


def _number(sent: dict[str, Any], name: str) -> int | None:
    value = sent.get(name)
    if value in (None, ""):
        return None
    if isinstance(value, bool) or not str(value).isdigit():
        raise Refused(400, {"error": f"position[{name}] is invalid"})
    return int(str(value))


def _check_line(repository: Repository, file: FileDiff, head: str, old: int | None, new: int | None) -> None:
    """An added line has a new number alone, a removed one an old number alone, an unchanged one both."""
    if (old, new) == (None, None):
        raise bad_request(NO_LINE_CODE)
    if DiffLine(old, new) in set(diff_lines(file.diff)):
        return
    blob = repository.blob(head, file.new_path)
    lines = 0 if blob is None else blob.data.count(b"\n") + (not blob.data.endswith(b"\n"))
    unchanged = old is not None and new is not None and 0 < new <= lines and new_line_of(file.diff, old) == new
    if not unchanged or file.new_file or file.deleted_file:
        raise bad_request(NO_LINE_CODE)


def _line_range(sent: object) -> dict[str, Any] | None:
    if isinstance(sent, str):
        sent = json.loads(sent) if sent.startswith("{") else None
    if not isinstance(sent, dict):
        return None
    for end in ("start", "end"):
        part = sent.get(end)
        if not isinstance(part, dict) or not part.get("line_code"):
            raise Refused(400, {"error": f"position[line_range][{end}][line_code] is missing"})
    return {end: dict(sent[end]) for end in ("start", "end")}
