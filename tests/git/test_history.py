import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mergewright.domain.errors import MergewrightError, NotFound
from mergewright.domain.forge import Remote
from mergewright.git.history import ATTRIBUTES, LARGEST, History

Commit = Callable[[dict[str, bytes | None]], str]
IDENTITY = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]


class Project:
    """A repository on disk that stands for the forge's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "--initial-branch=main")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.remote = Remote(folder.as_uri(), "", "")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *IDENTITY, *arguments], cwd=self.folder, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, bytes | None]) -> str:
        for name, data in files.items():
            path = self.folder / name
            if data is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder)


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "mirrors" / "one.git")


async def test_two_commits_are_fetched_by_their_ids_and_compared(project: Project, history: History) -> None:
    base = project.commit({"a.txt": b"one\n"})
    head = project.commit({"a.txt": b"two\n", "b.txt": b"new\n"})
    await history.fetch(project.remote, base, head)
    diff = await history.raw_diff(base, head)
    assert b"-one\n+two\n" in diff
    assert b"+++ b/b.txt" in diff
    assert await history.blob(head, "a.txt") == b"two\n"
    assert await history.blob(head, "gone.txt") is None


async def test_what_is_here_already_is_not_asked_for_again(project: Project, history: History, tmp_path: Path) -> None:
    head = project.commit({"a.txt": b"one\n"})
    await history.fetch(project.remote, head)
    await history.fetch(Remote((tmp_path / "nowhere").as_uri(), "", ""), head)


async def test_a_reviewed_head_stays_here_after_a_force_push(project: Project, history: History) -> None:
    project.commit({"a.txt": b"one\n"})
    old = project.commit({"a.txt": b"two\n"})
    await history.fetch(project.remote, old)
    project.git("reset", "-q", "--hard", "HEAD~1")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "-q", "--prune=now")
    assert await history.blob(old, "a.txt") == b"two\n"


async def test_a_commit_that_nobody_has_is_not_found(project: Project, history: History) -> None:
    project.commit({})
    with pytest.raises(NotFound):
        await history.fetch(project.remote, "1" * 40)


async def test_a_branch_is_fetched_by_its_ref_and_follows_it(project: Project, history: History) -> None:
    for text in (b"one\n", b"two\n"):
        head = project.commit({"a.txt": text})
        await history.fetch(project.remote, "refs/heads/main")
        assert await history.commit("refs/heads/main") == head
    assert await history.commit("refs/heads/none") is None


async def test_a_rename_is_shown_as_one(project: Project, history: History) -> None:
    text = b"".join(b"line %d\n" % number for number in range(20))
    base = project.commit({"old.txt": text})
    head = project.commit({"old.txt": None, "new.txt": text + b"more\n"})
    await history.fetch(project.remote, base, head)
    diff = await history.raw_diff(base, head)
    assert b"rename from old.txt\nrename to new.txt" in diff


async def test_names_with_line_ends_and_bytes_that_are_no_text_come_through(project: Project, history: History) -> None:
    names = ["a\nb", "-x", "é.txt", b"\xff\xfe".decode(errors="surrogateescape")]
    head = project.commit(dict.fromkeys(names, b"here\n"))
    await history.fetch(project.remote, head)
    assert {path for _, path in await history.tree(head)} == set(names)
    assert await history.blobs(head, names) == dict.fromkeys(names, b"here\n")


async def test_links_and_files_that_are_too_large_are_not_read(project: Project, history: History) -> None:
    (project.folder / "link").symlink_to("/etc/passwd")
    head = project.commit({"large": b"x" * (LARGEST + 1)})
    await history.fetch(project.remote, head)
    assert await history.blobs(head, ["link", "large"]) == {}


async def test_lines_are_found_with_their_place(project: Project, history: History) -> None:
    head = project.commit({"src/a.py": b"x = 1\ndef go():\n    pass\n", "b.py": b"go()\n"})
    await history.fetch(project.remote, head)
    assert await history.grep(head, r"go\(") == [("b.py", 1, "go()"), ("src/a.py", 2, "def go():")]
    assert await history.grep(head, "nothing") == []
    with pytest.raises(MergewrightError, match="no regular expression"):
        await history.grep(head, "(")


async def test_a_checkout_lays_out_the_files_of_a_commit(project: Project, history: History, tmp_path: Path) -> None:
    head = project.commit({"src/a.py": b"x\r\n", "run.sh": b"#!/bin/sh\n"})
    await history.fetch(project.remote, head)
    await history.checkout(head, tmp_path / "work")
    assert (tmp_path / "work/src/a.py").read_bytes() == b"x\r\n"
    assert not (tmp_path / "work/.git").exists()


async def test_attributes_of_the_branch_change_nothing_that_is_read(project: Project, history: History) -> None:
    base = project.commit({"a.txt": b"one\n"})
    attributes = b"* binary -diff filter=evil ident export-subst text eol=crlf\n"
    head = project.commit({"a.txt": b"two $Id$\n", ".gitattributes": attributes})
    await history.fetch(project.remote, base, head)
    assert b"+two $Id$\n" in await history.raw_diff(base, head)
    assert await history.blob(head, "a.txt") == b"two $Id$\n"


async def test_attributes_of_the_branch_lay_no_file_out_otherwise_than_it_was_read(
    project: Project, history: History, tmp_path: Path
) -> None:
    """Code that was laid out as UTF-16 was there for no analyzer."""
    project.commit({"a.py": b"eval(x) # $Id$\n"})
    attributes = b"*.py working-tree-encoding=UTF-16 ident text eol=crlf filter=evil\n"
    # The person's own git does not obey them.
    (project.folder / ".git/info/attributes").write_text(ATTRIBUTES)
    head = project.commit({".gitattributes": attributes})
    await history.fetch(project.remote, head)
    await history.checkout(head, tmp_path / "work")
    assert (tmp_path / "work/a.py").read_bytes() == b"eval(x) # $Id$\n"


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", "git~1", "."])
async def test_a_tree_that_would_lie_outside_of_itself_is_laid_out_nowhere(
    project: Project, history: History, tmp_path: Path, name: str
) -> None:
    """A forge looks at what is pushed to it; nobody says that each one does."""
    project.commit({"a.py": b"x\n"})
    entry = f"40000 {name}\0".encode() + bytes.fromhex(project.git("rev-parse", "HEAD^{tree}"))
    (tmp_path / "tree").write_bytes(entry)
    tree = project.git("hash-object", "-t", "tree", "-w", "--literally", str(tmp_path / "tree"))
    strange = project.git("commit-tree", tree, "-p", "HEAD", "-m", "x")
    project.git("update-ref", "refs/heads/main", strange)
    await history.fetch(project.remote, strange)
    with pytest.raises(MergewrightError, match="invalid path"):
        await history.checkout(strange, tmp_path / "work" / "tree")
    assert list((tmp_path / "work").rglob("*")) == [tmp_path / "work" / "tree"]


@pytest.mark.parametrize("ref", ["--output=/tmp/x", "", "a\0b"])
async def test_an_option_is_never_taken_for_a_commit(history: History, project: Project, ref: str) -> None:
    head = project.commit({})
    await history.fetch(project.remote, head)
    with pytest.raises(MergewrightError):
        await history.raw_diff(ref, head)
