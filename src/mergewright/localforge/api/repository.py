"""The repository: tree, compare, commits."""

from collections.abc import Callable

from sqlalchemy import select

from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.errors import not_found
from mergewright.localforge.repository import EMPTY_TREE, Commit
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Pipeline
from mergewright.localforge.wire.ci import pipeline_basic
from mergewright.localforge.wire.projects import web_url
from mergewright.localforge.wire.repository import commit_wire, diff_wire, tree_wire


def tree(call: Call) -> Answer:
    call.need_code()
    if call.repository.empty() and not call.params.text("ref"):
        raise not_found("Tree")
    sha = call.commit(call.params.text("ref") or call.project.default_branch, "Tree")
    recursive = bool(call.params.flag("recursive"))
    path = call.params.text("path")
    entries = call.repository.tree(sha, path, recursive=recursive)
    if entries is None:
        raise not_found("invalid revision or path")
    # GitLab lists folders before files.
    return call.items(sorted(entries, key=lambda entry: entry.type != "tree"), tree_wire)


def compare(call: Call) -> Wire:
    start = call.commit(call.params.required("from"), "Ref")
    end = call.commit(call.params.required("to"), "Ref")
    straight = bool(call.params.flag("straight"))
    base = start if straight else call.repository.merge_base(start, end) or start
    commits = call.repository.log(end, f"^{start}", limit=1000)[::-1]
    unidiff = bool(call.params.flag("unidiff"))
    return {
        "commit": commit_wire(call.instance, call.project, commits[-1]) if commits else None,
        "commits": [commit_wire(call.instance, call.project, commit) for commit in commits],
        "diffs": [diff_wire(file, unidiff=unidiff) for file in call.repository.diff(base, end)],
        "compare_timeout": False,
        "compare_same_ref": start == end,
        "web_url": f"{web_url(call.instance, call.project)}/-/compare/{start}...{end}",
    }


def commits(call: Call) -> Answer:
    call.need_code()
    if call.repository.empty():
        return call.items([], _entity(call))
    sha = call.commit(call.params.text("ref_name") or call.project.default_branch, "Ref")
    options = [
        f"--{name}={call.params.text(name)}"
        for name in ("since", "until", "author")
        if call.params.text(name) and "\0" not in call.params.text(name)
    ]
    start = (call.page - 1) * call.per_page
    path = call.params.text("path")
    found = call.repository.log(sha, path=path, limit=call.per_page + 1, skip=start, options=options)
    # Counting all commits is dear: as in GitLab there is no total here, only whether more follow.
    total = start + len(found)
    headers = {name: value for name, value in call.paging(total).items() if not name.startswith("X-Total")}
    return Answer([_entity(call)(commit) for commit in found[: call.per_page]], headers=headers)


def _entity(call: Call) -> Callable[[Commit], Wire]:
    return lambda commit: commit_wire(call.instance, call.project, commit)


def _commit(call: Call) -> Commit:
    return call.repository.commit(call.commit(call.names["sha"]))


def show(call: Call) -> Wire:
    commit = _commit(call)
    added, removed = call.repository.stats(_before(commit), commit.sha)
    rows = select(Pipeline).where(Pipeline.project_id == call.project.id, Pipeline.sha == commit.sha)
    last = call.session.scalar(rows.order_by(Pipeline.id.desc()).limit(1))
    return commit_wire(call.instance, call.project, commit) | {
        "stats": {"additions": added, "deletions": removed, "total": added + removed},
        "status": last.status if last else None,
        "project_id": call.project.id,
        "last_pipeline": pipeline_basic(call.instance, call.project, last) if last else None,
    }


def _before(commit: Commit) -> str:
    return commit.parents[0] if commit.parents else EMPTY_TREE


def diff(call: Call) -> Answer:
    commit = _commit(call)
    unidiff = bool(call.params.flag("unidiff"))
    files = call.repository.diff(_before(commit), commit.sha)
    return call.items(files, lambda file: diff_wire(file, unidiff=unidiff))


def merge_base(call: Call) -> Wire:
    refs = [call.commit(ref, "Ref") for ref in call.params.texts("refs")]
    if len(refs) != 2:
        raise not_found("Merge Base")
    base = call.repository.merge_base(*refs)
    if base is None:
        raise not_found("Merge Base")
    return commit_wire(call.instance, call.project, call.repository.commit(base))


ROUTES = [
    Route("GET", "/projects/:id/repository/tree", tree),
    Route("GET", "/projects/:id/repository/compare", compare),
    Route("GET", "/projects/:id/repository/merge_base", merge_base),
    Route("GET", "/projects/:id/repository/commits", commits),
    Route("GET", "/projects/:id/repository/commits/:sha", show),
    Route("GET", "/projects/:id/repository/commits/:sha/diff", diff),
]
