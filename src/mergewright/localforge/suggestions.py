"""Suggestions: blocks of a note at a line that say what should stand there instead."""

import re
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mergewright.localforge.instance import Instance
from mergewright.localforge.markdown import fences
from mergewright.localforge.positions import is_current
from mergewright.localforge.repository import Repository
from mergewright.localforge.tables import MergeRequest, Note, Project, Suggestion

FURTHEST = 100
"""Lines that a suggestion reaches above or below the line of its note."""
_INFO = re.compile(r"suggestion(?::-(\d{1,3})\+(\d{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Span:
    """The lines of a file, from 1, that a suggestion replaces."""

    first: int
    last: int


def store_suggestions(instance: Instance, session: Session, note: Note) -> None:
    """Keep what a note suggests; what was not applied of an older wording goes."""
    session.execute(delete(Suggestion).where(Suggestion.note_id == note.id, Suggestion.commit_id.is_(None)))
    position = note.position
    if note.type != "DiffNote" or note.system or not position or not position.get("new_line"):
        return
    if "suggestion" not in note.body or suggestions_of(session, note):
        return
    repository = instance.repository(session.get_one(Project, note.project_id))
    head, path = position["head_sha"], position["new_path"]
    # What a link points to is no text to be edited.
    blob = repository.blob(head, path) if repository.mode(head, path).startswith("100") else None
    lines = split_lines(blob.data) if blob else []
    if not lines:
        return
    for order, fence in enumerate(fences(note.body)):
        found = _INFO.fullmatch(fence.info.strip())
        if found is None:
            continue
        above, below = (min(int(found[number] or 0), FURTHEST) for number in (1, 2))
        first = max(position["new_line"] - above, 1)
        last = min(position["new_line"] + below, len(lines))
        session.add(
            Suggestion(
                note_id=note.id,
                relative_order=order,
                lines_above=position["new_line"] - first,
                lines_below=last - position["new_line"],
                from_content=_text(lines[first - 1 : last]),
                to_content=fence.content,
            )
        )
    session.flush()


def suggestions_of(session: Session, note: Note) -> list[Suggestion]:
    rows = select(Suggestion).where(Suggestion.note_id == note.id).order_by(Suggestion.relative_order)
    return list(session.scalars(rows))


def span(note: Note, suggestion: Suggestion) -> Span:
    line = note.position["new_line"] if note.position else 0
    return Span(line - suggestion.lines_above, line + suggestion.lines_below)


def obstacle(repository: Repository, merge_request: MergeRequest, note: Note, suggestion: Suggestion) -> str | None:
    """Why a suggestion cannot be applied, in GitLab's words; None when it can."""
    if suggestion.commit_id:
        return "Can't apply this suggestion."
    if merge_request.state == "merged":
        return "This merge request was merged. To apply this suggestion, edit this file directly."
    if merge_request.state != "opened":
        return "This merge request is closed. To apply this suggestion, edit this file directly."
    if repository.branch(merge_request.source_branch) != merge_request.sha:
        return "Can't apply as the source branch was deleted."
    position = note.position or {}
    blob = repository.blob(merge_request.sha, position["new_path"]) if is_current(position, merge_request) else None
    at = span(note, suggestion)
    lines = split_lines(blob.data)[at.first - 1 : at.last] if blob else []
    if not lines or _text(lines) != suggestion.from_content:
        return "Can't apply as these lines were changed in a more recent version."
    if suggestion.from_content.replace("\r\n", "\n") == suggestion.to_content:
        return "This suggestion already matches its content."
    return None


def split_lines(data: bytes) -> list[bytes]:
    """Lines as git counts them, each with its own end."""
    return re.findall(rb"[^\n]*\n|[^\n]+", data)


def _text(lines: list[bytes]) -> str:
    return b"".join(lines).decode("utf-8", "replace")


def replaced(data: bytes, at: Span, content: str) -> bytes:
    """Put a text in the place of lines; the line ends of the file and its last line stay as they were."""
    lines = split_lines(data)
    old = lines[at.first - 1 : at.last]
    new = content.encode()
    if old and all(line.endswith(b"\r\n") for line in old if line.endswith(b"\n")) and old[0].endswith(b"\r\n"):
        new = re.sub(rb"\r?\n", b"\r\n", new)
    if old and not old[-1].endswith(b"\n"):
        new = new.rstrip(b"\r\n")
    return b"".join([*lines[: at.first - 1], new, *lines[at.last :]])
