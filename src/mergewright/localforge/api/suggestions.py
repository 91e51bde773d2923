"""Applying what notes suggest, as a commit on the source branch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mergewright.localforge import access
from mergewright.localforge.call import Call, Wire
from mergewright.localforge.clock import now
from mergewright.localforge.commits import FileAction, Person, set_branch, write_commit, write_tree
from mergewright.localforge.errors import Refused, forbidden, not_found
from mergewright.localforge.notes import notes_of
from mergewright.localforge.pushes import RefUpdate, after_push, refusal
from mergewright.localforge.router import Route
from mergewright.localforge.suggestions import Span, obstacle, replaced, span
from mergewright.localforge.tables import MergeRequest, Note, Project, Suggestion
from mergewright.localforge.wire.notes import suggestion_wire

MOST = 100


@dataclass(frozen=True, slots=True)
class _Wanted:
    suggestion: Suggestion
    note: Note
    at: Span
    path: str


def _found(call: Call, number: int) -> tuple[Suggestion, Note, MergeRequest, Project]:
    """A suggestion that the caller can see, with all that it belongs to."""
    suggestion = call.session.get(Suggestion, number) if 0 < number < 2**62 else None
    note = call.session.get(Note, suggestion.note_id) if suggestion else None
    merge_request = call.session.get(MergeRequest, note.noteable_id) if note else None
    if suggestion is None or note is None or merge_request is None:
        raise not_found()
    project = call.session.get_one(Project, merge_request.project_id)
    if not access.can_read_code(project, call.me, access.access_level(call.session, project, call.me)):
        raise not_found()
    return suggestion, note, merge_request, project


def _apply(call: Call, numbers: Sequence[int]) -> list[Wire]:
    rows = [_found(call, number) for number in numbers]
    _, _, merge_request, project = rows[0]
    if any(row[2].id != merge_request.id for row in rows):
        raise Refused(400, {"message": "Suggestions must all be on the same branch."})
    repository = call.instance.repository(project)
    wanted: list[_Wanted] = []
    for suggestion, note, _, _ in rows:
        if reason := obstacle(repository, merge_request, note, suggestion):
            raise Refused(400, {"message": reason})
        wanted.append(_Wanted(suggestion, note, span(note, suggestion), (note.position or {})["new_path"]))
    wanted.sort(key=lambda one: (one.path, one.at.first))
    if any(one.path == two.path and one.at.last >= two.at.first for one, two in pairwise(wanted)):
        raise Refused(400, {"message": "Suggestions are not applicable as their lines cannot overlap."})
    head = merge_request.sha
    sha = write_commit(
        repository,
        write_tree(repository, head, _actions(call, project, head, wanted)),
        [head],
        call.params.text("commit_message") or _message(call, wanted),
        author=Person(call.me.name, call.me.email),
        committer=Person(call.me.name, call.me.email),
    )
    update = RefUpdate(head, sha, f"refs/heads/{merge_request.source_branch}")
    if refusal(call.instance, call.session, project, call.me, update):
        raise forbidden()
    set_branch(repository, merge_request.source_branch, sha, old=head)
    for one in wanted:
        one.suggestion.commit_id = sha
        _resolve(call, merge_request, one.note)
    call.session.flush()
    after_push(call.instance, call.session, project, call.me, update)
    return [suggestion_wire(call.instance, call.session, one.note, one.suggestion) for one in wanted]


def _actions(call: Call, project: Project, head: str, wanted: Sequence[_Wanted]) -> list[FileAction]:
    repository = call.instance.repository(project)
    contents: dict[str, bytes] = {}
    # From the last line up: what is replaced below moves nothing above.
    for one in reversed(wanted):
        if one.path not in contents:
            blob = repository.blob(head, one.path)
            contents[one.path] = blob.data if blob else b""
        contents[one.path] = replaced(contents[one.path], one.at, one.suggestion.to_content)
    return [FileAction("update", path, data) for path, data in contents.items()]


def _message(call: Call, wanted: Sequence[_Wanted]) -> str:
    authors = {one.note.author_id: one.note.author for one in wanted if one.note.author_id != call.me.id}
    files = len({one.path for one in wanted})
    text = f"Apply {len(wanted)} suggestion(s) to {files} file(s)"
    names = [f"Co-authored-by: {author.name} <{author.email}>" for author in authors.values()]
    return "\n\n".join([text, "\n".join(names)]) if names else text


def _resolve(call: Call, merge_request: MergeRequest, note: Note) -> None:
    for one in notes_of(call.session, merge_request):
        if one.discussion_id == note.discussion_id and not one.system and one.resolved_at is None:
            one.resolved_at, one.resolved_by_id = now(), call.me.id


def apply(call: Call) -> Wire:
    (applied,) = _apply(call, [call.number("suggestion_id", "")])
    return applied


def batch_apply(call: Call) -> list[Wire]:
    numbers = list(dict.fromkeys(call.params.integers("ids")))
    if not 0 < len(numbers) <= MOST:
        raise Refused(400, {"error": "ids is missing" if not numbers else "ids has too many values"})
    return _apply(call, numbers)


ROUTES = [
    Route("PUT", "/suggestions/batch_apply", batch_apply),
    Route("PUT", "/suggestions/:suggestion_id/apply", apply),
]
