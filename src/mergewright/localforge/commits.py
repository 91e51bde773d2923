"""Writing to a bare repository: commits made of file actions, merges, and moving branches."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mergewright.localforge.errors import GitFailed
from mergewright.localforge.repository import Repository, safe_path

NO_SHA = "0" * 40


class ActionRefused(Exception):
    """A file action that does not fit the branch; the message is GitLab's."""


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class FileAction:
    """One change of one file in a commit."""

    action: str
    """create, update, delete, move or chmod."""
    file_path: str
    content: bytes | None = None
    previous_path: str = ""
    last_commit_id: str = ""
    execute_filemode: bool | None = None


def write_tree(repository: Repository, parent: str | None, actions: Sequence[FileAction]) -> str:
    """Apply file actions to a commit's tree and return the new tree."""
    with tempfile.TemporaryDirectory(dir=repository.home) as scratch:
        environment = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        if parent:
            repository.git("read-tree", parent, environment=environment)
        for action in actions:
            entries = _index_lines(repository, parent, action, environment)
            repository.git("update-index", "-z", "--index-info", stdin=entries, environment=environment)
        return repository.git("write-tree", environment=environment).decode().strip()


def _index_lines(repository: Repository, parent: str | None, action: FileAction, environment: dict[str, str]) -> bytes:
    if not safe_path(action.file_path):
        raise ActionRefused("file_path should be a valid file path")
    if action.previous_path and not safe_path(action.previous_path):
        raise ActionRefused("previous_path should be a valid file path")
    source = action.previous_path if action.action == "move" else action.file_path
    staged = repository.git("ls-files", "-z", "--stage", "--", source, environment=environment).decode(
        "utf-8", "replace"
    )
    current = next((line for line in staged.split("\0") if line.partition("\t")[2] == source), "")
    if action.action == "create" and current:
        raise ActionRefused("A file with this name already exists")
    if action.action != "create" and not current:
        raise ActionRefused("A file with this name doesn't exist")
    _check_last_commit(repository, parent, action, source)
    mode, blob = current.split(" ")[:2] if current else ("100644", "")
    removed = f"0 {NO_SHA}\t{source}\0".encode()
    if action.action == "delete":
        return removed
    if action.content is not None:
        blob = repository.git("hash-object", "-w", "--stdin", stdin=action.content).decode().strip()
    if action.execute_filemode is not None:
        mode = "100755" if action.execute_filemode else "100644"
    added = f"{mode} {blob}\t{action.file_path}\0".encode()
    return removed + added if action.action == "move" else added


def _check_last_commit(repository: Repository, parent: str | None, action: FileAction, path: str) -> None:
    if not action.last_commit_id or parent is None:
        return
    latest = repository.log(parent, path=path, limit=1)
    if not latest or latest[0].sha != action.last_commit_id:
        raise ActionRefused("You are attempting to update a file that has changed since you started editing it.")


def write_commit(
    repository: Repository, tree: str, parents: Sequence[str], message: str, *, author: Person, committer: Person
) -> str:
    """Store a commit; no branch moves."""
    environment = {
        "GIT_AUTHOR_NAME": author.name,
        "GIT_AUTHOR_EMAIL": author.email,
        "GIT_COMMITTER_NAME": committer.name,
        "GIT_COMMITTER_EMAIL": committer.email,
    }
    options = [word for parent in parents for word in ("-p", parent)]
    written = repository.git("commit-tree", *options, tree, stdin=message.encode(), environment=environment)
    return written.decode().strip()


def set_branch(repository: Repository, name: str, sha: str, *, old: str) -> None:
    """Move or make a branch, if it still stands where it stood; the name has been checked."""
    repository.git("update-ref", f"refs/heads/{name}", sha, old or NO_SHA)


def delete_branch(repository: Repository, name: str) -> None:
    repository.git("update-ref", "-d", f"refs/heads/{name}")


@lru_cache(maxsize=4096)
def merged_tree(repository: Repository, target: str, source: str) -> str | None:
    """The tree of a merge; None when the two conflict."""
    try:
        answer = repository.git("merge-tree", "--write-tree", "--no-messages", target, source)
    except GitFailed as failed:
        if failed.exit_code == 1 or "unrelated histories" in failed.stderr:
            return None
        raise
    return answer.decode().split("\n", 1)[0]
