"""Paths that lead out of a commit's tree."""

from pathlib import Path

import pytest

from mergewright.domain.forge import Remote
from mergewright.git.history import History
from tests.flows.stage import git


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "."])
async def test_a_path_that_leads_out_of_the_tree_names_no_file(tmp_path: Path, path: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "-q", "--initial-branch=main")
    (source / "a").write_text("a\n")
    git(source, "add", "--all")
    git(source, "commit", "-q", "-m", "a")
    git(tmp_path, "clone", "-q", "--bare", str(source), "h.git")
    history = History(tmp_path / "h.git")
    assert await history.blob("refs/heads/main", path) is None
    assert await history.blob("refs/heads/main", "a") == b"a\n"


async def test_what_a_killed_fetch_left_locked_stops_no_later_one(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    git(source, "init", "-q", "--initial-branch=main")
    (source / "a").write_text("a\n")
    git(source, "add", "--all")
    git(source, "commit", "-q", "-m", "a")
    history = History(tmp_path / "h.git")
    remote = Remote(source.as_uri(), "x", "")
    await history.fetch(remote, "refs/heads/main")
    (source / "a").write_text("b\n")
    git(source, "commit", "-q", "-a", "-m", "b")
    (history.git_dir / "shallow.lock").write_text("")
    (history.git_dir / "refs" / "heads" / "main.lock").write_text("")
    await history.fetch(remote, "refs/heads/main")
    assert await history.blob("refs/heads/main", "a") == b"b\n"
