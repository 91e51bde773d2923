"""One project's bare git repository, read."""

import errno
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha1
from pathlib import Path

from mergewright.localforge.diffs import FileDiff, change_of, parse_diff
from mergewright.localforge.errors import GitFailed
from mergewright.localforge.gitcmd import run_git

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
COMMIT_FORMAT = "--format=%H%x00%P%x00%an%x00%ae%x00%aI%x00%cn%x00%ce%x00%cI%x00%B"
UNSAFE_REF = re.compile(r"[\x00-\x20\x7f:?*\[\\]|\.\.|@\{|^-|^/|/$|//")
UNSAFE_PATH = re.compile(r"[\x00\n]|^/|(^|/)(\.|\.\.|\.git|)(/|$)", re.IGNORECASE)
SHA = re.compile(r"[0-9a-f]{7,40}")
NOT_THERE = frozenset({errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG})
"""What the system says of a path at which git has no ref."""


@dataclass(frozen=True, slots=True)
class Commit:
    sha: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    authored_date: str
    committer_name: str
    committer_email: str
    committed_date: str
    message: str

    @property
    def title(self) -> str:
        return self.message.split("\n", 1)[0]


@dataclass(frozen=True, slots=True)
class TreeEntry:
    mode: str
    type: str
    id: str
    path: str


@dataclass(frozen=True, slots=True)
class Blob:
    id: str
    data: bytes


def safe_path(path: str) -> bool:
    """Whether a path names a file inside a repository and nothing else."""
    return bool(path) and UNSAFE_PATH.search(path) is None


def safe_branch(name: str) -> bool:
    """Whether git and GitLab would take this as a branch name."""
    bad = UNSAFE_REF.search(name) or re.search(r"[~^]|\.lock(/|$)|(^|/)\.|\.$|^@$", name)
    return bool(name) and not bad and not re.fullmatch(r"[0-9a-f]{40}", name) and name != "HEAD"


@dataclass(frozen=True, slots=True)
class Repository:
    """A bare repository; names from outside never reach git's argument list unchecked."""

    path: Path
    home: Path

    def git(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        environment: Mapping[str, str] | None = None,
        accept: frozenset[int] = frozenset({0}),
    ) -> bytes:
        return run_git(
            arguments, directory=self.path, home=self.home, stdin=stdin, environment=environment, accept=accept
        ).stdout

    def create(self, default_branch: str) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        # No template: its examples of hooks would never run.
        self.git("init", "-q", "--bare", "--template=", f"--initial-branch={default_branch}", ".")

    # --- names -------------------------------------------------------------------------------

    def _lookup(self, names: Sequence[str]) -> list[str | None]:
        """The objects behind names, asked over standard input, where nothing is taken for an option."""
        answer = self.git("cat-file", "--batch-check=%(objectname)", stdin="".join(f"{n}\n" for n in names).encode())
        lines = answer.decode("utf-8", "replace").splitlines()
        return [line if re.fullmatch(r"[0-9a-f]{40}", line) else None for line in lines]

    def resolve(self, ref: str) -> str | None:
        """The commit that a branch, a tag or a commit's id stands for."""
        if not ref or UNSAFE_REF.search(ref):
            return None
        if (head := self.branch(ref)) and re.fullmatch(r"[0-9a-f]{40}", head):
            return head
        names = [f"refs/heads/{ref}^{{commit}}", f"refs/tags/{ref}^{{commit}}"]
        if ref == "HEAD" or ref.startswith("refs/") or SHA.fullmatch(re.split(r"[~^]", ref)[0]):
            names.append(f"{ref}^{{commit}}")
        return next((sha for sha in self._lookup(names) if sha), None)

    def branch(self, name: str) -> str | None:
        return self._stored(f"refs/heads/{name}") if safe_branch(name) else None

    def _stored(self, ref: str) -> str | None:
        """Read a ref as git stores it: asked so often that starting git for it would be felt."""
        try:
            return (self.path / ref).read_text().strip()
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
            return next((sha for sha, name in self._packed() if name == ref), None)

    def _packed(self) -> Iterator[tuple[str, str]]:
        packed = self.path / "packed-refs"
        for line in packed.read_text().splitlines() if packed.exists() else []:
            if line and line[0] not in "#^":
                sha, _, name = line.partition(" ")
                yield sha, name

    def refs(self, prefix: str = "refs/heads/", *, containing: str = "") -> dict[str, str]:
        """Names below a prefix (without it), each with its object; if asked, only those that lead to a commit."""
        options = [f"--contains={containing}"] if containing else []
        listing = self.git("for-each-ref", "--format=%(objectname) %(refname)", *options, prefix)
        pairs = (line.split(" ", 1) for line in listing.decode("utf-8", "replace").splitlines())
        return {name.removeprefix(prefix): sha for sha, name in pairs}

    def empty(self) -> bool:
        loose = any(path.is_file() for path in (self.path / "refs" / "heads").rglob("*"))
        return not loose and not any(name.startswith("refs/heads/") for _, name in self._packed())

    # --- commits -----------------------------------------------------------------------------

    def log(
        self, *revisions: str, path: str = "", limit: int | None = None, skip: int = 0, options: Sequence[str] = ()
    ) -> list[Commit]:
        """Commits reachable from resolved revisions, newest first."""
        arguments = ["log", "-z", COMMIT_FORMAT, f"--skip={skip}", *options]
        if limit is not None:
            arguments.append(f"--max-count={limit}")
        arguments += ["--end-of-options", *revisions, "--", *([path] if path else [])]
        fields = self.git(*arguments).decode("utf-8", "replace").split("\0")
        return [_commit(fields[start : start + 9]) for start in range(0, len(fields) - 8, 9)]

    def commit(self, sha: str) -> Commit:
        return _one_commit(self, sha)

    def count(self, *revisions: str) -> int:
        return int(self.git("rev-list", "--count", "--end-of-options", *revisions, "--"))

    def merge_base(self, one: str, other: str) -> str | None:
        return _merge_base(self, one, other)

    def is_ancestor(self, old: str, new: str) -> bool:
        return _merge_base(self, new, old) == old

    def contained(self, commits: Collection[str], head: str) -> set[str]:
        """Those of some commits that are in the history of another."""
        if not commits:
            return set()
        outside = self.git("rev-list", "--stdin", stdin="".join(f"{sha}\n" for sha in [*commits, f"^{head}"]).encode())
        return set(commits) - set(outside.decode().split())

    # --- contents ----------------------------------------------------------------------------

    def tree(self, sha: str, path: str = "", *, recursive: bool = False) -> list[TreeEntry] | None:
        """A folder's entries; None when there is no such folder."""
        path = path.strip("/")
        if path and not safe_path(path):
            return None
        options = ["-r", "-t"] if recursive else []
        try:
            listing = self.git("ls-tree", "-z", *options, "--end-of-options", f"{sha}:{path}")
        except GitFailed:
            return None
        entries = []
        for line in listing.decode("utf-8", "replace").split("\0")[:-1]:
            head, name = line.split("\t", 1)
            mode, kind, object_id = head.split(" ")
            entries.append(TreeEntry(mode, kind, object_id, f"{path}/{name}" if path else name))
        return entries

    def blob(self, sha: str, path: str) -> Blob | None:
        """A file's bytes at a commit; None when it is not there."""
        if not safe_path(path):
            return None
        answer = self.git("cat-file", "--batch", stdin=f"{sha}:{path}\n".encode())
        head, _, rest = answer.partition(b"\n")
        words = head.split(b" ")
        if len(words) != 3 or words[1] != b"blob":
            return None
        return Blob(words[0].decode(), rest[: int(words[2])])

    def mode(self, sha: str, path: str) -> str:
        listing = self.git("ls-tree", "--format=%(objectmode)", "--end-of-options", sha, "--", path)
        return listing.decode().strip() or "100644"

    def diff(self, old: str, new: str) -> list[FileDiff]:
        """The files that differ between two commits, renames found."""
        return list(_diff(self, old, new)) if old != new else []

    def patch(self, old: str, new: str) -> bytes:
        return _patch(self, old, new) if old != new else b""

    def patch_id(self, old: str, new: str) -> str:
        """A hash of the change itself, to the byte, the same after a pure rebase; empty for no change.

        Git's own patch-id passes over white space, binary contents and modes: too little to hang an approval on.
        """
        patch = self.patch(old, new)
        return sha1(change_of(patch), usedforsecurity=False).hexdigest() if patch else ""

    def stats(self, old: str, new: str) -> tuple[int, int]:
        """Lines added and removed between two commits."""
        added = removed = 0
        for line in self.git("diff", "--numstat", "-M", "--end-of-options", old, new, "--").decode().splitlines():
            plus, minus, _ = line.split("\t", 2)
            added += int(plus) if plus.isdecimal() else 0
            removed += int(minus) if minus.isdecimal() else 0
        return added, removed


def _commit(fields: Sequence[str]) -> Commit:
    sha, parents, author, author_email, authored, committer, committer_email, committed, message = fields
    return Commit(
        sha,
        tuple(parents.split()),
        author,
        author_email,
        authored,
        committer,
        committer_email,
        committed,
        message.rstrip("\n") + "\n" if message.endswith("\n") else message,
    )


# What is asked of fixed commits never changes: these answers are kept.


@lru_cache(maxsize=4096)
def _one_commit(repository: Repository, sha: str) -> Commit:
    return repository.log(sha, limit=1)[0]


@lru_cache(maxsize=4096)
def _merge_base(repository: Repository, one: str, other: str) -> str | None:
    found = repository.git("merge-base", one, other, accept=frozenset({0, 1}))
    return found.decode().strip() or None


# A few of these alone, as they may be large: a review asks again and again about the same two commits.


@lru_cache(maxsize=8)
def _diff(repository: Repository, old: str, new: str) -> tuple[FileDiff, ...]:
    raw = repository.git("diff", "--raw", "-z", "--abbrev=40", "-M", "--end-of-options", old, new, "--")
    return tuple(parse_diff(raw, _patch(repository, old, new)))


@lru_cache(maxsize=8)
def _patch(repository: Repository, old: str, new: str) -> bytes:
    options = ["--no-color", "--no-ext-diff", "--no-textconv", "--full-index", "-M"]
    return repository.git("diff", *options, "--end-of-options", old, new, "--")
