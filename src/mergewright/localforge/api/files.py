"""Files in the repository, and commits made of file actions."""

import base64
import binascii
from typing import Any

from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.commits import (
    ActionRefused,
    FileAction,
    Person,
    set_branch,
    write_commit,
    write_tree,
)
from mergewright.localforge.errors import GitFailed, Refused, forbidden, not_found
from mergewright.localforge.pushes import NO_SHA, RefUpdate, after_push, refusal
from mergewright.localforge.repository import EMPTY_TREE, Blob, safe_branch, safe_path
from mergewright.localforge.router import Route
from mergewright.localforge.wire.repository import commit_wire, file_wire

ACTIONS = ("create", "update", "delete", "move", "chmod")


def _blob(call: Call) -> tuple[str, str, Blob]:
    """The commit, the path and the contents of the file of the path."""
    path = call.names["file_path"]
    if not safe_path(path):
        raise Refused(400, {"error": "file_path should be a valid file path"})
    sha = call.commit(call.params.text("ref") or call.project.default_branch)
    blob = call.repository.blob(sha, path)
    if blob is None:
        raise not_found("File")
    return sha, path, blob


def show(call: Call) -> Answer:
    if "ref" not in call.params:
        raise Refused(400, {"error": "ref is missing"})
    sha, path, blob = _blob(call)
    last = call.repository.log(sha, path=path, limit=1)[0].sha
    mode = call.repository.mode(sha, path)
    wire = file_wire(path, call.params.text("ref"), blob, sha=sha, last_commit=last, mode=mode)
    headers = {
        "X-Gitlab-" + "-".join(word.capitalize() for word in key.split("_")): str(value)
        for key, value in wire.items()
        if key != "content" and str(value).isascii() and str(value).isprintable()
    }
    return Answer(wire, headers=headers)


def raw(call: Call) -> Answer:
    _, _, blob = _blob(call)
    headers = {"Content-Disposition": "inline", "X-Content-Type-Options": "nosniff"}
    return Answer(blob.data, headers=headers, media_type="text/plain")


def _content(values: dict[str, Any]) -> bytes | None:
    content = values.get("content")
    if content is None:
        return None
    if not isinstance(content, str):
        raise Refused(400, {"error": "content is invalid"})
    if values.get("encoding") != "base64":
        return content.encode()
    try:
        return base64.b64decode(content)
    except (binascii.Error, ValueError) as error:
        raise Refused(400, {"error": "content is not valid base64"}) from error


def _action(values: dict[str, Any], kind: str, path: object) -> FileAction:
    if kind not in ACTIONS:
        raise Refused(400, {"error": "actions[0][action] does not have a valid value"})
    if not isinstance(path, str) or not path:
        raise Refused(400, {"error": "actions[0][file_path] is missing"})
    content = _content(values)
    if kind == "create":
        content = content or b""
    if kind == "update" and content is None:
        raise Refused(400, {"error": "content is missing"})
    mode = values.get("execute_filemode")
    return FileAction(
        kind,
        path,
        content,
        previous_path=str(values.get("previous_path") or ""),
        last_commit_id=str(values.get("last_commit_id") or ""),
        execute_filemode=None if mode is None else str(mode).lower() in {"true", "1"},
    )


def commit_actions(call: Call, actions: list[FileAction]) -> str:
    """Put a commit on a branch, with everything that follows a push; the branch may start here."""
    params, repository = call.params, call.repository
    branch = params.required("branch")
    message = params.required("commit_message")
    if not safe_branch(branch):
        raise Refused(400, {"message": f"Invalid branch name '{branch}'"})
    old = repository.branch(branch)
    start = params.text("start_sha") or params.text("start_branch")
    if start:
        if old and not params.flag("force"):
            taken = f"A branch called '{branch}' already exists. Switch to that branch in order to make changes"
            raise Refused(400, {"message": taken})
        parent = call.commit(start, "Branch")
    elif old is None and not repository.empty():
        raise Refused(400, {"message": "You can only create or edit files when you are on a branch"})
    else:
        parent = old or ""
    update = RefUpdate(old or NO_SHA, NO_SHA[:-1] + "1", f"refs/heads/{branch}")
    if reason := refusal(call.instance, call.session, call.project, call.me, update):
        raise forbidden() if call.level < 30 else Refused(403, {"message": reason})
    try:
        tree = write_tree(repository, parent or None, actions)
    except ActionRefused as error:
        raise Refused(400, {"message": str(error)}) from error
    me = Person(call.me.name, call.me.email)
    author = Person(params.text("author_name") or me.name, params.text("author_email") or me.email)
    sha = write_commit(repository, tree, [parent] if parent else [], message, author=author, committer=me)
    try:
        set_branch(repository, branch, sha, old=old or "")
    except GitFailed as error:
        raise Refused(409, {"message": f"Could not update {branch}. Please refresh and try again."}) from error
    done = RefUpdate(old or NO_SHA, sha, f"refs/heads/{branch}")
    after_push(call.instance, call.session, call.project, call.me, done)
    return sha


def create_commit(call: Call) -> Wire:
    call.need(30)
    actions = [
        _action(values, str(values.get("action")), values.get("file_path")) for values in call.params.tables("actions")
    ]
    sha = commit_actions(call, actions)
    commit = call.repository.commit(sha)
    added, removed = call.repository.stats(commit.parents[0] if commit.parents else EMPTY_TREE, sha)
    return commit_wire(call.instance, call.project, commit) | {
        "stats": {"additions": added, "deletions": removed, "total": added + removed},
        "status": None,
        "project_id": call.project.id,
    }


def _write_one(call: Call, kind: str) -> Wire:
    call.need(30)
    path = call.names["file_path"]
    if kind != "delete":
        call.params.required("commit_message")
        if "content" not in call.params:
            raise Refused(400, {"error": "content is missing"})
    commit_actions(call, [_action(call.params.values, kind, path)])
    return {"file_path": path, "branch": call.params.text("branch")}


def create(call: Call) -> Wire:
    return _write_one(call, "create")


def update(call: Call) -> Wire:
    return _write_one(call, "update")


def delete(call: Call) -> Answer:
    _write_one(call, "delete")
    return Answer(status=204)


ROUTES = [
    Route("GET", "/projects/:id/repository/files/:file_path", show),
    Route("GET", "/projects/:id/repository/files/:file_path/raw", raw),
    Route("POST", "/projects/:id/repository/files/:file_path", create),
    Route("PUT", "/projects/:id/repository/files/:file_path", update),
    Route("DELETE", "/projects/:id/repository/files/:file_path", delete),
    Route("POST", "/projects/:id/repository/commits", create_commit),
]
