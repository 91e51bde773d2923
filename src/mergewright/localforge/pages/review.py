"""What the page of a merge request shows: its review, why it is held, its threads and its changes."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from markupsafe import Markup
from sqlalchemy.orm import Session

from mergewright.localforge import approval_rules
from mergewright.localforge.diffs import DiffLine, FileDiff, PlacedLine, placed_lines
from mergewright.localforge.instance import Instance
from mergewright.localforge.markdown import markdown
from mergewright.localforge.mergeability import detailed_merge_status, head_pipeline, open_threads
from mergewright.localforge.notes import discussions_of
from mergewright.localforge.positions import digest, is_current
from mergewright.localforge.status_checks import checks_of, status_of
from mergewright.localforge.suggestions import Span, obstacle, span, split_lines, suggestions_of
from mergewright.localforge.tables import ChangeRequestBypass, MergeRequest, Note, Project, Suggestion, User
from mergewright.localforge.wire.merge_requests import diff_refs, reviewers

EXCERPT = 4
"""Lines of code above a thread."""
SHOWN_LINES = 1_500
"""Lines of one file's diff on a page."""
STATES = {
    "unreviewed": "has not reviewed yet",
    "review_started": "has started a review",
    "reviewed": "has reviewed",
    "requested_changes": "requested changes",
    "approved": "approved",
    "unapproved": "took the approval back, or a push did",
}


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line of code with its numbers; `kind` is added, removed or same."""

    old: int | None
    new: int | None
    kind: str
    text: str

    @property
    def number(self) -> int | None:
        return self.new or self.old

    @property
    def called(self) -> str:
        return f"{'removed ' if self.kind == 'removed' else ''}line {self.number}"

    @property
    def place(self) -> str:
        """Both numbers, as an address has them."""
        return f"{self.old or 0}_{self.new or 0}"


@dataclass(frozen=True, slots=True)
class ShownSuggestion:
    id: int
    at: Span
    obstacle: str
    """Why it cannot be applied (any more)."""
    lines: list[ShownLine]


@dataclass(frozen=True, slots=True)
class ShownNote:
    note: Note
    html: Markup
    suggestions: list[ShownSuggestion]


@dataclass(frozen=True, slots=True)
class ShownThread:
    """A thread; of one at a line, where and in which code."""

    notes: list[ShownNote]
    where: str = ""
    anchor: str = ""
    outdated: bool = False
    excerpt: list[ShownLine] = field(default_factory=list)

    @property
    def first(self) -> Note:
        return self.notes[0].note

    @property
    def resolved(self) -> bool:
        return self.first.resolved_at is not None

    @property
    def resolvable(self) -> bool:
        return bool(self.first.type) and not self.first.system


@dataclass(frozen=True)
class ShownFile:
    """A changed file with the threads at it: some as a whole, some at lines."""

    file: FileDiff
    threads: list[ShownThread]
    lines: list[tuple[ShownLine, list[ShownThread]]]
    left_out: int
    mark: str = ""
    """What names the file in this version of the changes; empty where its lines take no comment."""

    @property
    def name(self) -> str:
        return self.file.new_path.rpartition("/")[2]

    @property
    def anchor(self) -> str:
        return f"file_{digest(self.file.new_path)[:12]}"

    @cached_property
    def counted(self) -> tuple[int, int]:
        """Lines added and removed."""
        kinds = [line.kind for line, _ in self.lines]
        return kinds.count("added"), kinds.count("removed")

    @property
    def about(self) -> str:
        file = self.file
        words = [
            f"was {file.old_path}" if file.renamed_file else "",
            "new" if file.new_file else "",
            "deleted" if file.deleted_file else "",
            f"mode {file.a_mode} → {file.b_mode}" if file.status not in "AD" and file.a_mode != file.b_mode else "",
        ]
        return ", ".join(word for word in words if word)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A line that somebody is about to comment on."""

    line: ShownLine
    position: str
    """Where it is, as JSON that the API reads."""


@dataclass(frozen=True)
class ReviewPage:
    """Everything that the page says beyond the merge request itself."""

    instance: Instance
    session: Session
    project: Project
    merge_request: MergeRequest
    internal: bool = False
    """Whether internal notes are shown."""

    @cached_property
    def status(self) -> str:
        return detailed_merge_status(self.instance, self.session, self.merge_request)

    @cached_property
    def reviewers(self) -> list[tuple[User, str, str]]:
        """Each reviewer, their state and what that means."""
        rows = reviewers(self.session, self.merge_request)
        return [(row.user, row.state, STATES.get(row.state, row.state)) for row in rows]

    @cached_property
    def approvals(self) -> str:
        """What the approvals amount to."""
        given = [f"@{row.user.username}" for row in approval_rules.approvals(self.session, self.merge_request)]
        by = f"approved by {', '.join(given)}" if given else "nobody has approved"
        if not approval_rules.licensed(self.instance):
            return f"{_capital(by)}; approvals are optional here"
        missing = self._missing()
        needed = f"still needed: {'; '.join(missing)}" if missing else "nothing more is needed"
        return f"{_capital(by)}; {needed}"

    @cached_property
    def approved(self) -> bool:
        """Whether somebody has approved and nothing more is needed."""
        return bool(approval_rules.approvals(self.session, self.merge_request)) and not self._missing()

    def _missing(self) -> list[str]:
        if not approval_rules.licensed(self.instance):
            return []
        states = approval_rules.states(self.session, self.merge_request)
        return [f"{state.left} for “{state.rule.name}”" for state in states if not state.approved]

    @cached_property
    def checks(self) -> list[tuple[str, str]]:
        """Each external status check and its status."""
        if self.instance.settings.tier != "ultimate":
            return []
        rows = checks_of(self.session, self.project.id)
        return [(row.name, status_of(self.session, row, self.merge_request)) for row in rows]

    @cached_property
    def reason(self) -> str:
        """Whether it can be merged, and if not, what stands in the way."""
        row, status = self.merge_request, self.status
        if status == "mergeable":
            return "Ready to merge"
        if status == "not_open":
            return "Merged" if row.state == "merged" else "Closed: it cannot be merged"
        return f"Merge blocked: {self._obstacle(status)}"

    def _obstacle(self, status: str) -> str:
        row = self.merge_request
        if status == "requested_changes":
            return f"{self._requesters()} requested changes; they must approve, or somebody who may merge bypasses it"
        if status == "not_approved":
            return f"required approvals are missing: {'; '.join(self._missing())}"
        if status == "discussions_not_resolved":
            count = len({note.discussion_id for note in open_threads(self.session, row)})
            return f"{count} {'thread is' if count == 1 else 'threads are'} not resolved"
        if status == "status_checks_must_pass":
            waiting = [f"{name} ({state})" for name, state in self.checks if state != "passed"]
            return f"status checks have not passed: {', '.join(waiting)}"
        if status == "ci_must_pass":
            pipeline = head_pipeline(self.session, row)
            return f"pipeline #{pipeline.id} has {pipeline.status}" if pipeline else "a pipeline must succeed first"
        return {
            "draft_status": "it is a draft",
            "commits_status": "there is nothing to merge, or a branch is gone",
            "ci_still_running": "its pipeline is still running",
            "conflict": f"it conflicts with {row.target_branch}",
        }.get(status, status)

    def _requesters(self) -> str:
        rows = approval_rules.requests(self.session, self.merge_request)
        return " and ".join(f"@{row.user.username}" for row in rows)

    @cached_property
    def remarks(self) -> list[str]:
        """What a reader of the verdict should know besides."""
        if not approval_rules.requests(self.session, self.merge_request) or self.merge_request.state != "opened":
            return []
        if not approval_rules.licensed(self.instance):
            return [f"{self._requesters()} requested changes; on this tier that holds no merge"]
        bypassed = self.session.get(ChangeRequestBypass, self.merge_request.id) is not None
        return ["Merge with caution: requests for changes are bypassed"] if bypassed else []

    # --- threads -------------------------------------------------------------------------------

    @cached_property
    def threads(self) -> list[ShownThread]:
        found = discussions_of(self.session, self.merge_request)
        seen = ([note for note in notes if self.internal or not note.internal] for notes in found)
        return [self._thread(notes) for notes in seen if notes]

    @property
    def open(self) -> int:
        return sum(bool(thread.first.type) and not thread.resolved for thread in self.threads)

    def _thread(self, notes: list[Note]) -> ShownThread:
        shown = [self._note(note) for note in notes]
        position = notes[0].position
        anchor = f"thread_{notes[0].discussion_id[:12]}"
        if position is None:
            return ShownThread(shown, anchor=anchor)
        old, new = position.get("old_line"), position.get("new_line")
        line = new or old
        where = f"{position['new_path']}:{line}" if line else str(position["new_path"])
        return ShownThread(
            shown,
            where if new or not old else f"{where} (removed)",
            anchor,
            not is_current(position, self.merge_request),
            self._excerpt(position, DiffLine(old, new)) if line else [],
        )

    def _note(self, note: Note) -> ShownNote:
        rows = [self._suggestion(note, row) for row in suggestions_of(self.session, note)]
        return ShownNote(note, markdown(note.body, suggested=bool(rows)), rows)

    def _suggestion(self, note: Note, row: Suggestion) -> ShownSuggestion:
        at = span(note, row)
        repository = self.instance.repository(self.project)
        held = "applied" if row.commit_id else obstacle(repository, self.merge_request, note, row)
        lines = [*_block(row.from_content, at.first), *_block(row.to_content)]
        return ShownSuggestion(row.id, at, held or "", lines)

    @cached_property
    def _diffs(self) -> dict[tuple[str, str], list[FileDiff]]:
        return {}

    def _diff(self, base: str, head: str) -> list[FileDiff]:
        if (base, head) not in self._diffs:
            self._diffs[base, head] = self.instance.repository(self.project).diff(base, head)
        return self._diffs[base, head]

    def _excerpt(self, position: dict[str, str], at: DiffLine) -> list[ShownLine]:
        """The code that a thread is about, as it was where the thread stands."""
        files = self._diff(position["base_sha"], position["head_sha"])
        file = next((one for one in files if one.new_path == position["new_path"]), None)
        lines = list(placed_lines(file.diff)) if file else []
        number = next((number for number, one in enumerate(lines) if one.line == at), None)
        if number is not None:
            return [_shown(one) for one in lines[max(0, number - EXCERPT + 1) : number + 1]]
        blob = self.instance.repository(self.project).blob(position["head_sha"], position["new_path"])
        if blob is None or at.new is None or at.old is None:
            return []
        first = max(at.new - EXCERPT, 0)
        texts = [line.decode("utf-8", "replace").rstrip("\r\n") for line in split_lines(blob.data)[first : at.new]]
        shift = at.old - at.new
        return [ShownLine(n + shift, n, "same", text) for n, text in enumerate(texts, first + 1)]

    # --- changes -------------------------------------------------------------------------------

    @cached_property
    def files(self) -> list[ShownFile]:
        row = self.merge_request
        return [self._file(file) for file in self._diff(row.base_sha, row.sha)] if row.sha else []

    def _file(self, file: FileDiff) -> ShownFile:
        by_line: dict[DiffLine, list[ShownThread]] = defaultdict(list)
        whole: list[ShownThread] = []
        placed = list(placed_lines(file.diff))
        shown = {one.line for one in placed[:SHOWN_LINES]}
        for thread in self.threads:
            position = thread.first.position
            if position is None or thread.outdated or position["new_path"] != file.new_path:
                continue
            at = DiffLine(position.get("old_line"), position.get("new_line"))
            (by_line[at] if at in shown else whole).append(thread)
        lines = [(_shown(one), by_line.get(one.line, [])) for one in placed[:SHOWN_LINES]]
        return ShownFile(file, whole, lines, max(len(placed) - SHOWN_LINES, 0), self._mark(file))

    def _mark(self, file: FileDiff) -> str:
        # The version is in it: an address from an older one leads to no other line that has the number by now.
        version = f"{self.merge_request.base_sha} {self.merge_request.sha}"
        return "" if file.submodule else digest(f"{version} {file.new_path}")[:10]

    def chosen(self, name: str) -> Chosen | None:
        """The line of an address; None where this version has none of that name."""
        mark, _, place = name.partition("_")
        file = next((one for one in self.files if one.mark and one.mark == mark), None)
        line = next((one for one, _ in file.lines if one.place == place), None) if file else None
        if file is None or line is None:
            return None
        paths = {"old_path": file.file.old_path, "new_path": file.file.new_path}
        lines = {"old_line": line.old, "new_line": line.new}
        return Chosen(line, json.dumps(diff_refs(self.merge_request) | {"position_type": "text"} | paths | lines))


def shown_files(files: Iterable[FileDiff]) -> list[ShownFile]:
    """Changed files as they are, without threads."""
    shown = []
    for file in files:
        placed = list(placed_lines(file.diff))
        lines: list[tuple[ShownLine, list[ShownThread]]] = [(_shown(one), []) for one in placed[:SHOWN_LINES]]
        shown.append(ShownFile(file, [], lines, max(len(placed) - SHOWN_LINES, 0)))
    return shown


def _shown(placed: PlacedLine) -> ShownLine:
    kind = {"+": "added", "-": "removed"}.get(placed.text[:1], "same")
    return ShownLine(placed.line.old, placed.line.new, kind, placed.text[1:].rstrip("\r"))


def _block(text: str, first: int | None = None) -> Iterable[ShownLine]:
    lines = text.split("\n")[:-1] if text.endswith("\n") else text.split("\n")
    for number, line in enumerate(lines if text else []):
        old = None if first is None else first + number
        yield ShownLine(old, None, "added" if first is None else "removed", line.rstrip("\r"))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
