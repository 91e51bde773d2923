"""Merge requests: made, found, changed, pushed to and merged."""

from pathlib import Path
from typing import Any

import pytest

from tests.localforge.conftest import People, World, commit, git, open_merge_request


def path_of(world: World, row: dict[str, Any]) -> str:
    return f"{world.path}/merge_requests/{row['iid']}"


def system_notes(client: Any, path: str) -> list[str]:
    notes = client.get(f"{path}/notes", params={"sort": "asc"}).json()
    return [note["body"] for note in notes if note["system"]]


def test_a_new_merge_request_has_its_diff_and_its_versions(world: World, people: People) -> None:
    row = open_merge_request(people.dev, world.path, "mr/new", description="Text")
    main = people.dev.get(f"{world.path}/repository/branches/main").json()["commit"]["id"]
    assert row["diff_refs"] == {"base_sha": main, "start_sha": main, "head_sha": row["sha"]}
    assert (row["state"], row["draft"], row["detailed_merge_status"]) == ("opened", False, "mergeable")
    assert row["changes_count"] == "1"
    path = path_of(world, row)
    diffs = people.dev.get(f"{path}/diffs").json()
    assert (diffs[0]["new_path"], diffs[0]["new_file"]) == ("mr-new.txt", True)
    assert people.dev.get(f"{path}/diffs", params={"unidiff": True}).json()[0]["diff"].startswith("--- /dev/null\n")
    assert people.dev.get(f"{path}/raw_diffs").text.startswith("diff --git a/mr-new.txt b/mr-new.txt\n")
    assert people.dev.get(f"{path}/changes").json()["changes"] == diffs
    assert [c["id"] for c in people.dev.get(f"{path}/commits").json()] == [row["sha"]]
    version = people.dev.get(f"{path}/versions").json()[0]
    assert (version["head_commit_sha"], len(version["patch_id_sha"])) == (row["sha"], 40)
    assert people.dev.get(f"{path}/versions/{version['id']}").json()["diffs"] == diffs


@pytest.mark.parametrize("title", ["Draft: x", "[draft] x", "(Draft) Draft: x", "draft:x"])
def test_the_title_alone_makes_a_draft(world: World, people: People, title: str) -> None:
    row = open_merge_request(people.dev, world.path, f"draft/{abs(hash(title))}", title=title, draft=False)
    assert (row["draft"], row["work_in_progress"], row["detailed_merge_status"]) == (True, True, "draft_status")
    assert people.mia.put(f"{path_of(world, row)}/merge").status_code == 405


def test_a_second_open_merge_request_of_the_same_branches_is_refused(world: World, people: People) -> None:
    row = open_merge_request(people.dev, world.path, "mr/twice")
    body = {"source_branch": "mr/twice", "target_branch": "main", "title": "Again"}
    again = people.dev.post(f"{world.path}/merge_requests", json=body)
    expected = f"Another open merge request already exists for this source branch: !{row['iid']}"
    assert (again.status_code, again.json()) == (409, {"message": [expected]})
    people.dev.put(path_of(world, row), json={"state_event": "close"})
    assert people.dev.post(f"{world.path}/merge_requests", json=body).status_code == 201
    assert people.dev.put(path_of(world, row), json={"state_event": "reopen"}).status_code == 409


def test_branches_must_be_there_and_differ(world: World, people: People) -> None:
    body = {"source_branch": "none", "target_branch": "main", "title": "x"}
    assert people.dev.post(f"{world.path}/merge_requests", json=body).status_code == 400
    body = {"source_branch": "main", "target_branch": "main", "title": "x"}
    assert people.dev.post(f"{world.path}/merge_requests", json=body).status_code == 422
    assert people.dev.post(f"{world.path}/merge_requests", json={}).json() == {"error": "source_branch is missing"}
    assert people.rita.post(f"{world.path}/merge_requests", json=body).status_code == 403


def test_merge_requests_are_filtered(world: World, people: People) -> None:
    row = open_merge_request(people.mia, world.path, "mr/filter", title="Draft: Findable", labels="special")

    def iids(path: str = f"{world.path}/merge_requests", **params: Any) -> list[int]:
        return [found["iid"] for found in people.mia.get(path, params=params).json()]

    only = [row["iid"]]
    assert iids(source_branch="mr/filter") == only
    assert iids(source_branch="mr/filter", state="closed") == []
    assert iids(search="findable") == only
    assert iids(labels="special") == only
    assert iids(author_username="mia", wip="yes") == only
    assert row["iid"] not in iids(wip="no", per_page=100)
    assert iids("/merge_requests") == only
    assert iids("/merge_requests", scope="all", search="findable") == only
    assert people.mia.get(f"{world.path}/merge_requests", params={"state": "odd"}).status_code == 400


def test_changes_leave_the_notes_gitlab_leaves(world: World, people: People) -> None:
    row = open_merge_request(people.dev, world.path, "mr/notes")
    path = path_of(world, row)
    mia = people.dev.get("/users", params={"username": "mia"}).json()[0]["id"]
    people.dev.put(path, json={"title": "Draft: Merge mr/notes"})
    people.dev.put(path, json={"title": "Merge mr/notes", "description": "New", "reviewer_ids": [mia]})
    assert system_notes(people.dev, path) == [
        "marked this merge request as **draft**",
        "marked this merge request as **ready**",
        "changed the description",
        "requested review from @mia",
    ]
    assert [(r["user"]["username"], r["state"]) for r in people.dev.get(f"{path}/reviewers").json()] == [
        ("mia", "unreviewed")
    ]
    assert people.rita.put(path, json={"title": "x"}).status_code == 403


def test_a_push_makes_a_new_version_and_keeps_the_old(world: World, people: People, tmp_path: Path) -> None:
    row = open_merge_request(people.dev, world.path, "mr/pushed")
    path = path_of(world, row)
    git(tmp_path, "clone", "-q", "-b", "mr/pushed", world.remote("dev"), "c")
    (tmp_path / "c" / "more.txt").write_text("more\n")
    git(tmp_path / "c", "add", "-A")
    git(tmp_path / "c", "commit", "-q", "-m", "More <b>text</b>")
    git(tmp_path / "c", "push", "-q", "origin", "mr/pushed")
    after = people.dev.get(path).json()
    assert after["sha"] == git(tmp_path / "c", "rev-parse", "HEAD").stdout.strip()
    assert after["diff_refs"]["head_sha"] == after["sha"]
    heads = [version["head_commit_sha"] for version in people.dev.get(f"{path}/versions").json()]
    assert heads == [after["sha"], row["sha"]]
    (note,) = system_notes(people.dev, path)
    assert note.startswith("added 1 commit\n")
    assert "&lt;b&gt;" in note


def test_merging_closes_the_issues_and_removes_the_branch(world: World, people: People) -> None:
    issue = people.dev.post(f"{world.path}/issues", json={"title": "To close"}).json()
    row = open_merge_request(people.dev, world.path, "mr/merged", description=f"Fixes #{issue['iid']}.")
    path = path_of(world, row)
    assert [i["iid"] for i in people.dev.get(f"{path}/closes_issues").json()] == [issue["iid"]]
    refused = people.dev.put(f"{path}/merge")
    assert (refused.status_code, refused.json()) == (401, {"message": "401 Unauthorized"})
    stale = people.mia.put(f"{path}/merge", json={"sha": "1" * 40})
    assert stale.status_code == 409
    assert stale.json()["message"].startswith("SHA does not match HEAD of source branch: ")
    merged = people.mia.put(f"{path}/merge", json={"sha": row["sha"], "should_remove_source_branch": True}).json()
    assert (merged["state"], merged["merge_user"]["username"]) == ("merged", "mia")
    assert (merged["merged_by"], merged["detailed_merge_status"]) == (merged["merge_user"], "not_open")
    main = people.dev.get(f"{world.path}/repository/branches/main").json()["commit"]
    assert main["id"] == merged["merge_commit_sha"]
    assert main["message"].startswith("Merge branch 'mr/merged' into 'main'")
    assert people.dev.get(f"{world.path}/repository/branches/mr%2Fmerged").status_code == 404
    assert people.dev.get(f"{world.path}/issues/{issue['iid']}").json()["state"] == "closed"
    assert people.mia.put(f"{path}/merge").status_code == 405


def test_a_squash_leaves_one_commit(world: World, people: People) -> None:
    row = open_merge_request(people.dev, world.path, "mr/squash")
    commit(people.dev, world.path, "mr/squash", {"second.txt": "2"}, start=None)
    body = {"squash": True, "squash_commit_message": "Both", "should_remove_source_branch": False}
    merged = people.mia.put(f"{path_of(world, row)}/merge", json=body).json()
    squashed = people.dev.get(f"{world.path}/repository/commits/{merged['squash_commit_sha']}").json()
    assert (squashed["message"], squashed["author_name"], len(squashed["parent_ids"])) == ("Both", "dev", 1)
    assert people.dev.get(f"{world.path}/repository/branches/mr%2Fsquash").status_code == 200


def test_a_conflict_is_seen_and_not_merged(world: World, people: People) -> None:
    commit(people.mia, world.path, "mr/conflict", {"clash.txt": "ours\n"})
    commit(people.mia, world.path, "main", {"clash.txt": "theirs\n"}, start=None)
    body = {"source_branch": "mr/conflict", "target_branch": "main", "title": "Clash"}
    row = people.dev.post(f"{world.path}/merge_requests", json=body).json()
    assert (row["has_conflicts"], row["merge_status"]) == (True, "cannot_be_merged")
    assert row["detailed_merge_status"] == "conflict"
    assert people.mia.put(f"{path_of(world, row)}/merge").status_code == 422


def test_a_branch_pushed_into_its_target_counts_as_merged(world: World, people: People, tmp_path: Path) -> None:
    row = open_merge_request(people.dev, world.path, "mr/by-push")
    git(tmp_path, "clone", "-q", world.remote("mia"), "c")
    git(tmp_path / "c", "merge", "-q", "--no-edit", "origin/mr/by-push")
    git(tmp_path / "c", "push", "-q", "origin", "main")
    assert people.dev.get(path_of(world, row)).json()["state"] == "merged"


def test_a_pipeline_that_must_succeed_holds_the_merge(world: World, people: People) -> None:
    row = open_merge_request(people.dev, world.path, "mr/gated")
    path, statuses = path_of(world, row), f"{world.path}/statuses/{row['sha']}"
    gate = "only_allow_merge_if_pipeline_succeeds"
    people.mia.put(world.path, json={gate: True})
    try:

        def status() -> str:
            return str(people.dev.get(path).json()["detailed_merge_status"])

        assert status() == "ci_must_pass"
        body = {"state": "running", "context": "check", "ref": "mr/gated", "target_url": "http://x.test"}
        posted = people.dev.post(statuses, json=body)
        assert (posted.status_code, posted.json()["name"], posted.json()["status"]) == (201, "check", "running")
        assert status() == "ci_still_running"
        waiting = people.mia.put(f"{path}/merge", json={"auto_merge": True}).json()
        assert (waiting["state"], waiting["merge_when_pipeline_succeeds"]) == ("opened", True)
        people.dev.post(statuses, json={"state": "failed", "name": "check", "ref": "mr/gated"})
        assert status() == "ci_must_pass"
        people.dev.post(statuses, json={"state": "success", "name": "check", "ref": "mr/gated"})
        assert people.dev.get(path).json()["state"] == "merged"
    finally:
        people.mia.put(world.path, json={gate: False})
    assert people.dev.get(f"{world.path}/repository/commits/{row['sha']}/statuses").json()[0]["status"] == "success"
    assert people.rita.post(statuses, json={"state": "success"}).status_code == 403


def test_a_waiting_merge_can_be_called_off(world: World, people: People) -> None:
    row = open_merge_request(people.dev, world.path, "mr/called-off")
    path = path_of(world, row)
    people.dev.post(f"{world.path}/statuses/{row['sha']}", json={"state": "running", "ref": "mr/called-off"})
    people.mia.put(f"{path}/merge", json={"merge_when_pipeline_succeeds": True})
    answer = people.mia.post(f"{path}/cancel_merge_when_pipeline_succeeds")
    assert (answer.status_code, answer.json()) == (201, {"status": "success"})
    people.dev.post(f"{world.path}/statuses/{row['sha']}", json={"state": "success", "ref": "mr/called-off"})
    assert people.dev.get(path).json()["state"] == "opened"
