"""Commits, diffs and files of a project, read from a bare repository: what a review looks at."""

import asyncio
import fcntl
import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from mergewright.domain.errors import MergewrightError, NotFound
from mergewright.domain.forge import Remote
from mergewright.git.command import ENVIRONMENT, Done, checked, refusal, revision, run

LARGEST = 2 * 1024**2
"""Bytes of a file that is read as text; a larger one is told by its name alone."""
ATTRIBUTES = "* !diff !text !eol !crlf !filter !ident !working-tree-encoding\n"
"""What no branch decides: a `.gitattributes` in it would lay files out otherwise than they were read in the diff."""
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_GONE = re.compile(r"not our ref|couldn't find remote ref|no such remote ref|unadvertised object")


class History:
    """A bare repository that only we write: no work tree, no configuration and no attributes of the project's."""

    def __init__(self, git_dir: Path) -> None:
        self.git_dir = git_dir.absolute()

    async def fetch(self, remote: Remote, *wanted: str) -> None:
        """Bring commits, by their ids, or whole refs; what is here already is not fetched again.

        A ref arrives under its own name. Only these commits come, not what was before them. Raises NotFound for what
        the forge does not have any more.
        """
        await self._begin()
        self._set_attributes()
        there = await self._there([one for one in wanted if _SHA.fullmatch(one)])
        missing = [one for one in dict.fromkeys(wanted) if one not in there]
        if not missing:
            return
        async with self._alone():
            await self._bring(remote, missing)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Fetch one at a time, in all processes; what a killed one has left locked is free again."""
        with (self.git_dir / "fetching").open("w") as held:
            await asyncio.to_thread(fcntl.flock, held, fcntl.LOCK_EX)
            for stale in [*self.git_dir.glob("*.lock"), *self.git_dir.glob("refs/**/*.lock")]:
                stale.unlink(missing_ok=True)
            yield

    async def _bring(self, remote: Remote, missing: Sequence[str]) -> None:
        # A commit without a ref would be lost at the next clean-up, and fetched again at each review.
        specs = [f"+{one}:refs/kept/{one}" if _SHA.fullmatch(one) else f"+{one}:{one}" for one in missing]
        order = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1", "--", remote.url, *specs]
        done = await run(*order, environment=self._environment(), cwd=self.git_dir, remote=remote)
        if done.code != 0:
            if _GONE.search(done.err):
                raise NotFound("the forge has a commit of this merge request no more")
            raise refusal(done, remote)

    async def commit(self, ref: str) -> str | None:
        """Give the id of the commit that a ref stands at; None when there is none."""
        name = f"{revision(ref)}^{{commit}}"
        found = await self._git("rev-parse", "--verify", "--quiet", "--end-of-options", name, accept=(0, 1, 128))
        return found.out.decode().strip() or None

    async def raw_diff(self, base: str, head: str, *, context: int = 3, paths: Sequence[str] = ()) -> bytes:
        """Show what a commit has that another has not, renames found, binary files named only."""
        options = ["-r", "-p", "-M", f"-U{context}", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv"]
        options += ["--submodule=short", "--ignore-submodules=none", "--end-of-options"]
        return (await self._git("diff-tree", *options, revision(base), revision(head), "--", *paths)).out

    async def blob(self, commit: str, path: str) -> bytes | None:
        """Give a file's bytes at a commit; None when it is not there, is no file, or is larger than `LARGEST`."""
        return (await self.blobs(commit, [path])).get(path)

    async def blobs(self, commit: str, paths: Sequence[str]) -> dict[str, bytes]:
        """Give the bytes of those of these files that are there at a commit."""
        # A path that leads out of the tree names nothing in it; git would fail over it.
        plain = [path for path in paths if path and not path.startswith("/") and ".." not in path.split("/")]
        if not plain:
            return {}
        options = ("-z", "--full-tree", "-l", "--end-of-options")
        listed = (await self._git("ls-tree", *options, revision(commit), "--", *plain)).out
        there: dict[str, str] = {}
        for entry in listed.split(b"\0"):
            facts, _, name = entry.partition(b"\t")
            words = facts.decode().split()
            if len(words) == 4 and words[1] == "blob" and words[0] != "120000" and int(words[3]) <= LARGEST:
                there[os.fsdecode(name)] = words[2]
        wanted = {path: there[path] for path in plain if path in there}
        if not wanted:
            return {}
        told = (await self._git("cat-file", "--batch", stdin="\n".join(wanted.values()).encode())).out
        found: dict[str, bytes] = {}
        position = 0
        for path in wanted:
            end = told.index(b"\n", position)
            size = int(told[position:end].split()[2])
            found[path] = told[end + 1 : end + 1 + size]
            position = end + 2 + size
        return found

    async def tree(self, commit: str) -> list[tuple[str, str]]:
        """List every file at a commit, as its mode and its path."""
        listed = (await self._git("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", revision(commit))).out
        entries = (entry.partition(b"\t") for entry in listed.split(b"\0") if entry)
        return [(facts.split()[0].decode(), os.fsdecode(name)) for facts, _, name in entries]

    async def grep(
        self, commit: str, pattern: str, *, paths: Sequence[str] = (), limit: int = 200
    ) -> list[tuple[str, int, str]]:
        """Find lines by an extended regular expression: the path, the line's number and its text."""
        options = ["-n", "-z", "-I", "-E", "--no-color", "--full-name", "-m", str(limit), "-e", pattern]
        asked = await self._git("grep", *options, revision(commit), "--", *paths, accept=(0, 1, 128))
        if asked.code == 128:
            raise MergewrightError(f"`{pattern[:80]}` is no regular expression that git understands")
        found = []
        for line in asked.out.split(b"\n")[:limit]:
            place, number, text = (*line.split(b"\0", 2), b"", b"")[:3]
            if number.isdigit():
                found.append((os.fsdecode(place).partition(":")[2], int(number), text.decode("utf-8", "replace")))
        return found

    async def checkout(self, commit: str, work_tree: Path) -> None:
        """Lay out a commit's plain files in an empty folder, by its absolute path; links stay links."""
        os.makedirs(work_tree, exist_ok=True)
        index = self.git_dir / f"index-{os.getpid()}-{id(work_tree)}"
        environment = {**self._environment(), "GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(work_tree)}
        try:
            for order in (("read-tree", revision(commit)), ("checkout-index", "--all", "--force", "--quiet")):
                checked(await run(*order, environment=environment, cwd=work_tree))
        finally:
            index.unlink(missing_ok=True)

    async def _begin(self) -> None:
        if (self.git_dir / "HEAD").is_file():
            return
        # Two processes may begin at once: each makes its own, and the first one stays.
        made = self.git_dir.with_name(f"{self.git_dir.name}.{os.getpid()}")
        made.mkdir(parents=True, exist_ok=True, mode=0o700)
        order = ("init", "--quiet", "--bare", "--template=", str(made))
        checked(await run(*order, environment=ENVIRONMENT, cwd=made))
        try:
            made.rename(self.git_dir)
        except OSError:
            await asyncio.to_thread(shutil.rmtree, made)
            if not (self.git_dir / "HEAD").is_file():
                raise

    def _set_attributes(self) -> None:
        file = self.git_dir / "info" / "attributes"
        if file.is_file():
            return
        file.parent.mkdir(exist_ok=True)
        made = file.with_name(f"attributes.{os.getpid()}")
        made.write_text(ATTRIBUTES)
        made.replace(file)

    async def _there(self, commits: Sequence[str]) -> set[str]:
        if not commits:
            return set()
        told = (await self._git("cat-file", "--batch-check", stdin="\n".join(commits).encode())).out.decode()
        return {line.split()[0] for line in told.splitlines() if line.split()[1:2] == ["commit"]}

    async def _git(self, *arguments: str, stdin: bytes = b"", accept: Sequence[int] = (0,)) -> Done:
        return checked(
            await run(*arguments, environment=self._environment(), cwd=self.git_dir, stdin=stdin), accept=accept
        )

    def _environment(self) -> dict[str, str]:
        return {
            **ENVIRONMENT,
            "GIT_DIR": str(self.git_dir),
            "GIT_INDEX_FILE": str(self.git_dir / "no-index"),
            "GIT_IMPLICIT_WORK_TREE": "0",
        }
