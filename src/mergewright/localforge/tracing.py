"""Where notes stand after a push: carried along with their lines, or outdated where the lines changed."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mergewright.localforge.diffs import DiffLine, FileDiff, PlacedLine, new_line_of, old_line_of
from mergewright.localforge.notes import discussions_of
from mergewright.localforge.positions import Lines, line_code
from mergewright.localforge.repository import Repository
from mergewright.localforge.tables import MergeRequest, Note, NoteTrace, User, Version

Position = dict[str, Any]


@dataclass(frozen=True)
class Refs:
    """The commits between which a diff was made."""

    base: str
    start: str
    head: str


@dataclass(frozen=True)
class Tracer:
    """The diffs between an old and a new state of a merge request."""

    repository: Repository
    old: Refs
    new: Refs

    @cached_property
    def diff(self) -> list[FileDiff]:
        return self.repository.diff(self.new.base, self.new.head)

    @cached_property
    def heads(self) -> list[FileDiff]:
        return self.repository.diff(self.old.head, self.new.head)

    @cached_property
    def bases(self) -> list[FileDiff]:
        return self.repository.diff(self.old.base, self.new.base)

    def trace(self, position: Position) -> Position | None:
        """The position in the new diff; None when what it was about has changed."""
        file = self._file(position)
        if file is None:
            return None
        refs = {"base_sha": self.new.base, "start_sha": self.new.start, "head_sha": self.new.head}
        moved = position | refs | {"old_path": file.old_path, "new_path": file.new_path}
        if position["position_type"] != "text":
            changed = [one for one in self.heads if one.old_path == position["new_path"] and not _renamed_alone(one)]
            return None if changed else moved
        lines = Lines(self.repository, self.new.base, file)
        placed = self._line(position, lines, DiffLine(position["old_line"], position["new_line"]))
        if placed is None:
            return None
        moved |= {"old_line": placed.line.old, "new_line": placed.line.new}
        span = self._span(position, lines)
        return moved | {"line_code": line_code(file.new_path, placed), "line_range": span}

    def _file(self, position: Position) -> FileDiff | None:
        """The file of a position in the new diff: followed over renames at the head, or gone there as before."""
        step = next((one for one in self.heads if one.old_path == position["new_path"]), None)
        path = step.new_path if step and not step.deleted_file else position["new_path"]
        base = next((one for one in self.bases if one.old_path == position["old_path"]), None)
        old_path = base.new_path if base else position["old_path"]
        found = (one for one in self.diff if one.new_path == path or (one.deleted_file and one.old_path == old_path))
        return next(found, None)

    def _line(self, position: Position, lines: Lines, line: DiffLine) -> PlacedLine | None:
        old = None if line.old is None else _moved(self.bases, position["old_path"], line.old)
        new = None if line.new is None else _moved(self.heads, position["new_path"], line.new)
        if (line.old is None) != (old is None) or (line.new is None) != (new is None):
            return None
        if old is not None and new is not None and old_line_of(lines.file.diff, new) != old:
            return None
        return lines.find(old, new)

    def _span(self, position: Position, lines: Lines) -> dict[str, Any] | None:
        """Both ends of a note on several lines; where one is lost, the note is on its last line alone."""
        kept: dict[str, Any] = {}
        for end, part in (position.get("line_range") or {}).items():
            placed = self._line(position, lines, DiffLine(part["old_line"], part["new_line"]))
            if placed is None:
                return None
            kept[end] = {
                "line_code": line_code(lines.file.new_path, placed),
                "type": part["type"],
                "old_line": placed.line.old,
                "new_line": placed.line.new,
            }
        return kept or None


def _renamed_alone(file: FileDiff) -> bool:
    return file.renamed_file and not file.diff


def _moved(diff: list[FileDiff], path: str, line: int) -> int | None:
    """The number of a line after a change; None when the change took it away."""
    file = next((one for one in diff if one.old_path == path), None)
    if file is None:
        return line
    return None if file.deleted_file else new_line_of(file.diff, line)


def trace_notes(repository: Repository, session: Session, merge_request: MergeRequest, old: Refs, user: User) -> None:
    """Carry the notes that stood in the diff before into the one there is now, and say which are outdated."""
    new = Refs(merge_request.base_sha, merge_request.start_sha, merge_request.sha)
    tracer = Tracer(repository, old, new)
    threads = discussions_of(session, merge_request)
    notes = [note.id for thread in threads for note in thread]
    traced = set(session.scalars(select(NoteTrace.note_id).where(NoteTrace.note_id.in_(notes))))
    for thread in threads:
        position = thread[0].position
        if position is None or Refs(position["base_sha"], position["start_sha"], position["head_sha"]) != old:
            continue
        moved = tracer.trace(position)
        for note in thread:
            if note.id not in traced:
                session.add(NoteTrace(note_id=note.id, original_position=note.position or position))
            if moved is not None:
                note.position = moved
        if moved is None:
            _say_outdated(session, merge_request, thread[0], user)
    session.flush()


def _say_outdated(session: Session, merge_request: MergeRequest, first: Note, user: User) -> None:
    rows = select(Version.id).where(Version.merge_request_id == merge_request.id)
    number = len(session.scalars(rows).all())
    what = "file" if first.position and first.position["position_type"] != "text" else "line"
    session.add(
        Note(
            project_id=first.project_id,
            noteable_type=first.noteable_type,
            noteable_id=first.noteable_id,
            discussion_id=first.discussion_id,
            type=first.type,
            author_id=user.id,
            body=f"changed this {what} in version {number} of the diff",
            position=first.position,
            system=True,
        )
    )
