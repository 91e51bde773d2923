"""A clone whose work tree belongs to somebody else."""

import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mergewright.domain.errors import Conflict, ForgeError, NotFound, WrongUse
from mergewright.domain.forge import Remote
from mergewright.git.command import ENVIRONMENT, Done, check_branch, checked, push_refusal, refusal, revision, run

Identity = tuple[str, str]
"""A name and an address, as a commit has them."""

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_NOTHING = "0" * 40
_GITLINK = "160000"


@dataclass(frozen=True)
class Repository:
    """A clone whose git directory lies outside its work tree."""

    git_dir: Path
    work_tree: Path

    async def head(self) -> str | None:
        """Give the commit that the branch stands at; None before its first commit."""
        return await self._commit("HEAD")

    async def branch(self) -> str:
        """Give the name of the branch that commits go to."""
        return (await self._git("symbolic-ref", "--short", "HEAD")).out.decode().strip()

    async def switch(self, branch: str) -> None:
        """Let the next commit go to this branch, begun at the present commit where it does not exist yet."""
        check_branch(branch)
        head, there = await self.head(), await self._commit(f"refs/heads/{branch}")
        if there not in (None, head):
            raise Conflict(f"the branch `{branch}` stands at another commit already")
        if head is not None and there is None:
            await self._git("update-ref", f"refs/heads/{branch}", head, _NOTHING)
        await self._git("symbolic-ref", "HEAD", f"refs/heads/{branch}")

    async def snapshot(self) -> str:
        """Keep the present work tree, new files included and ignored ones not, as a tree; gives its id."""
        async with self._staged() as (tree, _):
            return tree

    async def restore(self, tree: str) -> None:
        """Bring the work tree back to a snapshot: what came since is taken away, what changed is as it was."""
        async with self._staged() as (now, index):
            if now != tree:
                order = ("read-tree", "--reset", "-u", revision(tree))
                await self._git(*order, environment={"GIT_INDEX_FILE": str(index)})

    async def changed_files(self, base: str | None, *, tree: str = "") -> list[tuple[str, str]]:
        """List what `tree`, or the work tree, changed since a commit or tree: `A`, `M`, `D` or `T`, and the path."""
        tree = tree or await self.snapshot()
        listed = await self._diff_tree("-r", "-z", "--name-status", "--no-renames", *_range(base, tree))
        words = [os.fsdecode(word) for word in listed.split(b"\0") if word]
        return list(zip(words[::2], words[1::2], strict=True))

    async def diff(self, base: str | None, *, tree: str = "", paths: Sequence[str] = (), context: int = 3) -> str:
        """Show what `tree`, or the present work tree, changed since a commit or tree.

        Attributes in the tree are not heeded: they could hide a change as binary.
        """
        tree = tree or await self.snapshot()
        options = ["-r", "-p", "-M", f"-U{context}", "--no-color", "--no-ext-diff", "--no-textconv"]
        shown = await self._diff_tree(*options, *_range(base, tree), "--", *paths)
        return shown.decode(errors="replace")

    async def commit_all(
        self, message: str, *, author: Identity, committer: Identity | None = None, when: int | None = None
    ) -> str | None:
        """Commit the present work tree; gives the commit, or None when nothing has changed.

        A repository inside the tree is taken as plain files. The same tree, parent, message and time give the same id.
        """
        head, before = await self._head()
        async with self._staged() as (tree, index):
            if tree == (before or EMPTY_TREE):
                return None
            parents = ["-p", head] if head else []
            made = await self._git(
                *("commit-tree", *parents, "-F", "-", tree),
                stdin=message.encode(errors="replace"),
                environment=_people(author, committer or author, when),
            )
            commit = made.out.decode().strip()
            await self._git("update-ref", "HEAD", commit, head or _NOTHING)
            os.replace(index, self.git_dir / "index")
        return commit

    async def push(self, remote: Remote, *, source: str, branch: str, expect: str | None) -> str:
        """Bring a commit to a branch of the forge, if that still stands where it is expected; gives the commit.

        `expect` is the commit that the branch was last seen at, None for a new branch. A branch that already stands at
        our commit is left as it is. Commits of others are never rewritten: Conflict is raised instead.
        """
        check_branch(branch)
        commit = await self._commit(source)
        if commit is None:
            raise WrongUse(f"there is no commit `{source}` to push")
        refused: ForgeError = Conflict(f"pushing to `{branch}` would drop commits that are on the forge")
        if expect is None or await self._holds(commit, expect):
            # Git asks where the branch stands and changes it on that condition, all in one conversation.
            order = ["push", "--porcelain", "--no-verify", f"--force-with-lease=refs/heads/{branch}:{expect or ''}"]
            order += ["--", remote.url, f"{commit}:refs/heads/{branch}"]
            done = await run(*order, environment=self._environment(), cwd=self.git_dir, remote=remote)
            if done.code == 0:
                return commit
            refused = push_refusal(done, remote, branch)
            if not isinstance(refused, Conflict):
                raise refused
        stands_at = await remote_head(remote, branch)
        if stands_at == commit:
            return commit
        if stands_at != expect:
            raise Conflict(
                f"the branch `{branch}` has moved on the forge: it stands at {_short(stands_at)}, not {_short(expect)}",
                hint="somebody else pushed to it; fetch their commits first",
            )
        raise refused

    async def show_file(self, ref: str, path: str) -> bytes | None:
        """Give a file's bytes at a commit or tree; None when it is not there."""
        return (await self.show_files(ref, [path])).get(path)

    async def show_files(self, ref: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Give the bytes of those of these files that are there at a commit or tree."""
        listed = (await self._git("ls-tree", "-z", "--full-tree", revision(ref), "--", *paths)).out if paths else b""
        entries = [entry.partition(b"\t") for entry in listed.split(b"\0")]
        there = {os.fsdecode(name): facts.split()[2] for facts, _, name in entries if b" blob " in facts}
        blobs = {path: there[path] for path in paths if path in there}
        if not blobs:
            return {}
        told = (await self._git("cat-file", "--batch", stdin=b"\n".join(blobs.values()))).out
        found: dict[str, bytes] = {}
        for path in blobs:
            facts, _, told = told.partition(b"\n")
            size = int(facts.split()[2])
            found[path], told = told[:size], told[size + 1 :]
        return found

    async def _head(self) -> tuple[str | None, str]:
        """Give the commit that the branch stands at and its tree; None and nothing before its first commit."""
        told = (await self._git("cat-file", "--batch", stdin=b"HEAD^{commit}")).out.decode(errors="replace")
        facts, _, commit = told.partition("\n")
        return (None, "") if facts.endswith(" missing") else (facts.split()[0], commit.split()[1])

    async def _holds(self, commit: str, earlier: str) -> bool:
        return (await self._git("merge-base", "--is-ancestor", earlier, commit, accept=(0, 1, 128))).code == 0

    async def _commit(self, ref: str) -> str | None:
        found = await self._git("rev-parse", "--verify", "--quiet", f"{revision(ref)}^{{commit}}", accept=(0, 1, 128))
        return found.out.decode().strip() or None

    @asynccontextmanager
    async def _staged(self) -> AsyncIterator[tuple[str, Path]]:
        """Bring an index of its own up to the work tree: gives its tree and its path."""
        with tempfile.TemporaryDirectory(prefix="stage-", dir=self.git_dir) as folder:
            index = Path(folder, "index")
            with suppress(FileNotFoundError):
                # With its time: git looks again at files that are as young as their index, and at no others.
                shutil.copy2(self.git_dir / "index", index)
            there, gone = await self._candidates(index)
            staging = {"GIT_INDEX_FILE": str(index)}
            for options, paths in (("--force-remove", gone), ("--replace", there)):
                if paths:
                    names = b"\0".join(map(os.fsencode, paths))
                    await self._git("update-index", "--add", options, "-z", "--stdin", stdin=names, environment=staging)
            tree = (await self._git("write-tree", environment=staging)).out.decode().strip()
            yield tree, index

    async def _candidates(self, index: Path) -> tuple[list[str], list[str]]:
        """List the paths that differ from the index: those to take as they are, and those that are gone."""
        options = ("-z", "-t", "--stage", "--modified", "--others", "--exclude-standard")
        asked = await self._git("ls-files", *options, environment={"GIT_INDEX_FILE": str(index)})
        # `? path` is new, `C mode id stage<tab>path` has changed or is gone; all else is as the index has it.
        told = [os.fsdecode(line).partition(" ") for line in asked.out.split(b"\0") if line]
        entries = [facts.partition("\t") for tag, _, facts in told if tag == "C"]
        changed = [path for facts, _, path in entries if not facts.startswith(_GITLINK)]
        fresh = [path for tag, _, path in told if tag == "?"]
        nested = [path for folder in fresh if folder.endswith("/") for path in _files_below(self.work_tree, folder)]
        if nested:
            # This command takes no literal paths; none that begins with `./` is taken for a pattern.
            asked = await self._git(
                *("check-ignore", "-z", "--stdin"),
                stdin=b"\0".join(os.fsencode(f"./{path}") for path in nested),
                environment={"GIT_INDEX_FILE": str(index), "GIT_LITERAL_PATHSPECS": "0"},
                accept=(0, 1),
            )
            ignored = {os.fsdecode(path.removeprefix(b"./")) for path in asked.out.split(b"\0")}
            nested = [path for path in nested if path not in ignored]
        paths = dict.fromkeys([*changed, *(path for path in fresh if not path.endswith("/")), *nested])
        there = [path for path in paths if _is_file(self.work_tree, path)]
        return there, sorted(set(paths) - set(there))

    async def _diff_tree(self, *arguments: str) -> bytes:
        # Away from the work tree and with no index, git finds no attributes.
        environment = {
            **ENVIRONMENT,
            "GIT_DIR": str(self.git_dir),
            "GIT_INDEX_FILE": str(self.git_dir / "no-index"),
            "GIT_IMPLICIT_WORK_TREE": "0",
        }
        return checked(await run("diff-tree", *arguments, environment=environment, cwd=self.git_dir)).out

    async def _git(
        self,
        *arguments: str,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        accept: Sequence[int] = (0,),
    ) -> Done:
        full = {**self._environment(), **(environment or {})}
        return checked(await run(*arguments, environment=full, cwd=self.work_tree, stdin=stdin), accept=accept)

    def _environment(self) -> dict[str, str]:
        return {**ENVIRONMENT, "GIT_DIR": str(self.git_dir), "GIT_WORK_TREE": str(self.work_tree)}


async def clone(remote: Remote, git_dir: Path, work_tree: Path, *, branch: str | None) -> Repository:
    """Fetch one branch, the forge's default one unless named, and lay out its files.

    An interrupted clone is simply begun again: files that git tracks come out as the branch has them. A repository
    without commits gives a clone without commits.
    """
    repository = _make_folders(git_dir, work_tree)
    name = branch or (await _remote_refs(remote, "HEAD"))[0] or "main"
    check_branch(name)
    order = ["init", "--quiet", "--bare", "--template=", str(repository.git_dir)]
    checked(await run(*order, environment=ENVIRONMENT, cwd=git_dir))
    # Not bare, so that git inside the sandbox, where it stands at `.git`, knows that there is a work tree.
    config = git_dir / "config"
    config.write_text(config.read_text("utf-8").replace("bare = true", "bare = false"), "utf-8")
    (git_dir / "HEAD").write_text(f"ref: refs/heads/{name}\n", "utf-8")
    order = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-head-ok", "--", remote.url]
    order += [f"+refs/heads/{name}:refs/heads/{name}", f"+refs/heads/{name}:refs/remotes/origin/{name}"]
    fetched = await run(*order, environment=repository._environment(), cwd=git_dir, remote=remote)
    if fetched.code == 0:
        await repository._git("read-tree", "--reset", "-u", "HEAD")
    elif "couldn't find remote ref" not in fetched.err:
        raise refusal(fetched, remote)
    elif (await _remote_refs(remote, "refs/heads/*"))[1]:
        raise NotFound(f"the forge has no branch `{name}`")
    return repository


def _make_folders(git_dir: Path, work_tree: Path) -> Repository:
    repository = Repository(git_dir.absolute(), work_tree.absolute())
    if repository.git_dir.is_relative_to(repository.work_tree):
        raise WrongUse(f"the git directory `{git_dir}` lies inside its work tree")
    git_dir.mkdir(parents=True, exist_ok=True)
    work_tree.mkdir(parents=True, exist_ok=True)
    (git_dir / "index.lock").unlink(missing_ok=True)
    return repository


async def remote_head(remote: Remote, branch: str) -> str | None:
    """Give the commit that a branch of the forge stands at; None when there is no such branch."""
    check_branch(branch)
    _, heads = await _remote_refs(remote, f"refs/heads/{branch}")
    return heads.get(branch)


async def _remote_refs(remote: Remote, *patterns: str) -> tuple[str, dict[str, str]]:
    """Ask the forge for its default branch and for where its branches stand."""
    order = ("ls-remote", "--symref", "--", remote.url, *patterns)
    done = await run(*order, environment=ENVIRONMENT, cwd=Path("/"), remote=remote)
    if done.code != 0:
        raise refusal(done, remote)
    default, heads = "", {}
    for line in done.out.decode(errors="replace").splitlines():
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith("ref: refs/heads/"):
            default = value.removeprefix("ref: refs/heads/")
        elif name.startswith("refs/heads/"):
            heads[name.removeprefix("refs/heads/")] = value
    return default, heads


def _people(author: Identity, committer: Identity, when: int | None) -> dict[str, str]:
    people: dict[str, str] = {}
    for role, (name, email) in (("AUTHOR", author), ("COMMITTER", committer)):
        people |= {f"GIT_{role}_NAME": name, f"GIT_{role}_EMAIL": email}
        if when is not None:
            people[f"GIT_{role}_DATE"] = f"@{when} +0000"
    return people


def _range(base: str | None, tree: str) -> tuple[str, str]:
    return (revision(base) if base is not None else EMPTY_TREE, tree)


def _short(commit: str | None) -> str:
    return f"`{commit[:8]}`" if commit else "no commit"


def _files_below(root: Path, folder: str) -> list[str]:
    """List the files in a repository nested in the tree, without its git directory."""
    found: list[str] = []
    for place, folders, files in os.walk(root / folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        folders[:] = [name for name in folders if name.lower() != ".git" and name not in links]
        names = [name for name in (*files, *links) if name.lower() != ".git"]
        found += [os.path.relpath(os.path.join(place, name), root) for name in names]
    return found


def _is_file(root: Path, path: str) -> bool:
    """Whether a path is a file or a link, and does not lie behind a link."""
    place, mode = root, stat.S_IFDIR
    for name in Path(path).parts:
        if not stat.S_ISDIR(mode):
            return False
        place = place / name
        try:
            mode = os.lstat(place).st_mode
        except FileNotFoundError:
            return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
