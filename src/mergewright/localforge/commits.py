"""Writing to a bare repository: commits made of file actions, merges, and moving branches."""

import os
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


Staged = dict[str, tuple[str, str]]
"""The mode and the blob of each path."""


def write_tree(repository: Repository, parent: str | None, actions: Sequence[FileAction]) -> str:
    """Apply file actions to a commit's tree and return the new tree."""
    with tempfile.TemporaryDirectory(dir=repository.home) as scratch:
        environment = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        staged: Staged = {}
        if parent:
            repository.git("read-tree", parent, environment=environment)
            staged = _staged(repository, actions, environment)
        blobs = _store(repository, Path(scratch), [action.content for action in actions])
        entries = b""
        for action, blob in zip(actions, blobs, strict=True):
            entries += _index_lines(repository, parent, action, blob, staged)
        if entries:
            repository.git("update-index", "-z", "--index-info", stdin=entries, environment=environment)
        return repository.git("write-tree", environment=environment).decode().strip()


def _staged(repository: Repository, actions: Sequence[FileAction], environment: dict[str, str]) -> Staged:
    """What the index holds at the paths of some actions."""
    wanted = {path for action in actions for path in (action.file_path, action.previous_path)}
    listing = repository.git("ls-files", "-z", "--stage", environment=environment).decode("utf-8", "surrogateescape")
    pairs = (line.partition("\t") for line in listing.split("\0")[:-1])
    return {path: (head[:6], head[7:47]) for head, _, path in pairs if path in wanted}


def _store(repository: Repository, scratch: Path, contents: Sequence[bytes | None]) -> list[str]:
    """Store contents as blobs, with one start of git for all, and return their ids; empty where there is none."""
    names = ""
    for number, content in enumerate(contents):
        if content is not None:
            (scratch / str(number)).write_bytes(content)
            names += f"{scratch / str(number)}\n"
    if not names:
        return [""] * len(contents)
    stored = repository.git("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=os.fsencode(names))
    ids = iter(stored.decode().split())
    return ["" if content is None else next(ids) for content in contents]


def _index_lines(repository: Repository, parent: str | None, action: FileAction, blob: str, staged: Staged) -> bytes:
    if not safe_path(action.file_path):
        raise ActionRefused("file_path should be a valid file path")
    if action.previous_path and not safe_path(action.previous_path):
        raise ActionRefused("previous_path should be a valid file path")
    source = action.previous_path if action.action == "move" else action.file_path
    if action.action == "create" and source in staged:
        raise ActionRefused("A file with this name already exists")
    if action.action != "create" and source not in staged:
        raise ActionRefused("A file with this name doesn't exist")
    _check_last_commit(repository, parent, action, source)
    mode, known = staged.get(source, ("100644", ""))
    removed = f"0 {NO_SHA}\t{source}\0".encode()
    if action.action == "delete":
        del staged[source]
        return removed
    if action.execute_filemode is not None:
        mode = "100755" if action.execute_filemode else "100644"
    if action.action == "move":
        del staged[source]
    _put(staged, action.file_path, mode, blob or known)
    added = f"{mode} {blob or known}\t{action.file_path}\0".encode()
    return removed + added if action.action == "move" else added


def _put(staged: Staged, path: str, mode: str, blob: str) -> None:
    # As git does: a file takes the place of a folder, and a folder that of a file.
    for other in [one for one in staged if one.startswith(f"{path}/") or path.startswith(f"{one}/")]:
        del staged[other]
    staged[path] = mode, blob


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
