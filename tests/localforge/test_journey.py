"""A whole day of a small change, with python-gitlab and a real git."""

from pathlib import Path

import gitlab
from gitlab.v4.objects import Project

from tests.localforge.conftest import PROJECT, World, git


def test_an_issue_becomes_a_merged_branch(world: World, tmp_path: Path) -> None:
    with (
        gitlab.Gitlab(world.forge.url, private_token=world.tokens["dev"]) as server,
        gitlab.Gitlab(world.forge.url, private_token=world.tokens["mia"]) as maintainer,
    ):
        server.auth()
        walk(server.projects.get(PROJECT), maintainer.projects.get(PROJECT), world, tmp_path)


def walk(project: Project, maintained: Project, world: World, tmp_path: Path) -> None:
    issue = project.issues.create({"title": "Add a file", "description": "Please"})
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", world.remote("dev"), str(clone))
    git(clone, "checkout", "-q", "-b", "feature/x")
    (clone / "new.txt").write_text("hello\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "Add new.txt")
    git(clone, "push", "-q", "origin", "feature/x")
    merge_request = project.mergerequests.create(
        {
            "source_branch": "feature/x",
            "target_branch": "main",
            "title": "Draft: Add a file",
            "description": f"Closes #{issue.iid}",
        }
    )
    assert merge_request.draft
    assert merge_request.detailed_merge_status == "draft_status"
    merge_request.title = "Add a file"
    merge_request.save()
    assert [row.iid for row in merge_request.closes_issues()] == [issue.iid]
    merged = maintained.mergerequests.get(merge_request.iid)
    merged.merge()
    assert merged.state == "merged"
    assert project.issues.get(issue.iid).state == "closed"
    assert project.files.get("new.txt", ref="main").decode() == b"hello\n"
