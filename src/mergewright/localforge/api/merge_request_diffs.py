"""What a merge request changes: commits, diffs, versions, the issues it closes, its pipelines."""

from sqlalchemy import or_, select

from mergewright.localforge import access
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.diffs import FileDiff
from mergewright.localforge.errors import not_found
from mergewright.localforge.merge_requests import closing_issues
from mergewright.localforge.repository import Commit
from mergewright.localforge.router import Route
from mergewright.localforge.tables import MergeRequest, Note, Pipeline, User, Version
from mergewright.localforge.wire.ci import pipeline_basic
from mergewright.localforge.wire.issues import issue_wire
from mergewright.localforge.wire.merge_requests import merge_request_wire, version_wire
from mergewright.localforge.wire.repository import commit_wire, diff_wire
from mergewright.localforge.wire.users import user_basic


def _files(call: Call, merge_request: MergeRequest) -> list[FileDiff]:
    return call.repository.diff(merge_request.base_sha, merge_request.sha) if merge_request.sha else []


def _commits(call: Call, base: str, head: str) -> list[Commit]:
    return call.repository.log(head, f"^{base}", limit=10_000) if head else []


def diffs(call: Call) -> Answer:
    unidiff = bool(call.params.flag("unidiff"))
    return call.items(_files(call, call.merge_request()), lambda file: diff_wire(file, unidiff=unidiff))


def raw_diffs(call: Call) -> Answer:
    merge_request = call.merge_request()
    patch = call.repository.patch(merge_request.base_sha, merge_request.sha) if merge_request.sha else b""
    return Answer(patch, media_type="text/plain")


def changes(call: Call) -> Wire:
    merge_request = call.merge_request()
    unidiff = bool(call.params.flag("unidiff"))
    files = [diff_wire(file, unidiff=unidiff) for file in _files(call, merge_request)]
    wire = merge_request_wire(call.instance, call.session, merge_request, level=call.level)
    return wire | {"changes": files, "overflow": False}


def commits(call: Call) -> Answer:
    merge_request = call.merge_request()
    found = _commits(call, merge_request.base_sha, merge_request.sha)
    return call.items(found, lambda commit: commit_wire(call.instance, call.project, commit))


def versions(call: Call) -> Answer:
    query = select(Version).where(Version.merge_request_id == call.merge_request().id)
    return call.rows(query.order_by(Version.id.desc()), version_wire)


def version(call: Call) -> Wire:
    merge_request = call.merge_request()
    row = call.session.get(Version, call.number("version_id", "Merge Request Diff"))
    if row is None or row.merge_request_id != merge_request.id:
        raise not_found("Merge Request Diff")
    unidiff = bool(call.params.flag("unidiff"))
    base, head = row.base_commit_sha, row.head_commit_sha
    return version_wire(row) | {
        "commits": [commit_wire(call.instance, call.project, commit) for commit in _commits(call, base, head)],
        "diffs": [diff_wire(file, unidiff=unidiff) for file in call.repository.diff(base, head)],
    }


def closes_issues(call: Call) -> Answer:
    found = closing_issues(call.instance, call.session, call.merge_request())
    found = [issue for issue in found if not issue.confidential or call.level >= access.REPORTER]
    return call.items(found, lambda issue: issue_wire(call.instance, call.session, issue))


def related_issues(call: Call) -> Answer:
    return closes_issues(call)


def pipelines(call: Call) -> Answer:
    merge_request = call.merge_request()
    shas = {merge_request.sha} | {
        row.head_commit_sha
        for row in call.session.scalars(select(Version).where(Version.merge_request_id == merge_request.id))
    }
    query = select(Pipeline).where(
        Pipeline.project_id == call.project.id,
        Pipeline.sha.in_(shas),
        or_(Pipeline.ref == merge_request.source_branch, Pipeline.merge_request_id == merge_request.id),
    )
    return call.rows(query.order_by(Pipeline.id.desc()), lambda row: pipeline_basic(call.instance, call.project, row))


def participants(call: Call) -> Answer:
    merge_request = call.merge_request()
    wrote = select(Note.author_id).where(
        Note.noteable_type == "MergeRequest", Note.noteable_id == merge_request.id, Note.system.is_(False)
    )
    query = select(User).where(or_(User.id == merge_request.author_id, User.id.in_(wrote))).order_by(User.id)
    return call.rows(query, lambda user: user_basic(call.instance, user))


BASE = "/projects/:id/merge_requests/:iid"
ROUTES = [
    Route("GET", f"{BASE}/diffs", diffs),
    Route("GET", f"{BASE}/raw_diffs", raw_diffs),
    Route("GET", f"{BASE}/changes", changes),
    Route("GET", f"{BASE}/commits", commits),
    Route("GET", f"{BASE}/versions", versions),
    Route("GET", f"{BASE}/versions/:version_id", version),
    Route("GET", f"{BASE}/closes_issues", closes_issues),
    Route("GET", f"{BASE}/related_issues", related_issues),
    Route("GET", f"{BASE}/pipelines", pipelines),
    Route("GET", f"{BASE}/participants", participants),
]
