"""Paths that lead out of a commit's tree."""

from pathlib import Path

import pytest

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
