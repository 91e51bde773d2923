"""Tree, files, commits, branches and comparisons over the API."""

import base64
from urllib.parse import quote

from tests.localforge.conftest import FILES, People, World, commit


def test_the_tree_lists_folders_first_and_goes_deep_when_asked(world: World, people: People) -> None:
    tree = f"{world.path}/repository/tree"
    assert [(row["path"], row["type"]) for row in people.dev.get(tree).json()] == [
        ("src", "tree"),
        ("README.md", "blob"),
    ]
    deep = people.dev.get(tree, params={"recursive": True}).json()
    assert [row["path"] for row in deep] == ["src", "README.md", "src/app.py"]
    assert [row["path"] for row in people.dev.get(tree, params={"path": "src"}).json()] == ["src/app.py"]
    assert people.dev.get(tree, params={"path": "none"}).status_code == 404
    assert people.dev.get(tree, params={"ref": "none"}).json() == {"message": "404 Tree Not Found"}


def test_a_file_is_read_whole_and_raw(world: World, people: People) -> None:
    file = f"{world.path}/repository/files/{quote('src/app.py', safe='')}"
    wire = people.dev.get(file, params={"ref": "main"}).json()
    assert base64.b64decode(wire["content"]).decode() == FILES["src/app.py"]
    assert (wire["file_path"], wire["size"]) == ("src/app.py", len(FILES["src/app.py"]))
    assert len(wire["last_commit_id"]) == 40
    raw = people.dev.get(f"{file}/raw", params={"ref": "main"})
    assert (raw.text, raw.headers["content-type"].partition(";")[0]) == (FILES["src/app.py"], "text/plain")
    missing = people.dev.get(f"{world.path}/repository/files/none.txt", params={"ref": "main"})
    assert (missing.status_code, missing.json()) == (404, {"message": "404 File Not Found"})
    assert people.dev.get(file).json() == {"error": "ref is missing"}


def test_a_commit_of_many_actions_changes_them_all_at_once(world: World, people: People) -> None:
    commit(people.dev, world.path, "actions", {"a.txt": "a", "b.txt": "b", "c.sh": "#!/bin/sh\n"})
    actions = [
        {
            "action": "update",
            "file_path": "a.txt",
            "content": base64.b64encode(b"\xff\x00").decode(),
            "encoding": "base64",
        },
        {"action": "move", "file_path": "deep/b2.txt", "previous_path": "b.txt"},
        {"action": "chmod", "file_path": "c.sh", "execute_filemode": True},
        {"action": "delete", "file_path": "README.md"},
    ]
    body = {"branch": "actions", "commit_message": "All at once", "actions": actions}
    answer = people.dev.post(f"{world.path}/repository/commits", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["author_name"] == "dev"
    tree = people.dev.get(f"{world.path}/repository/tree", params={"ref": "actions", "recursive": True}).json()
    modes = {row["path"]: row["mode"] for row in tree if row["type"] == "blob"}
    assert modes == {"a.txt": "100644", "c.sh": "100755", "deep/b2.txt": "100644", "src/app.py": "100644"}
    raw = people.dev.get(f"{world.path}/repository/files/a.txt/raw", params={"ref": "actions"})
    assert raw.content == b"\xff\x00"


def test_an_action_that_does_not_fit_changes_nothing(world: World, people: People) -> None:
    commits = f"{world.path}/repository/commits"
    head = people.dev.get(f"{world.path}/repository/branches/main").json()["commit"]["id"]
    create = {"action": "create", "file_path": "README.md", "content": "x"}
    body = {"branch": "new-one", "start_branch": "main", "commit_message": "m", "actions": [create]}
    answer = people.dev.post(commits, json=body)
    assert (answer.status_code, answer.json()) == (400, {"message": "A file with this name already exists"})
    update = {"action": "update", "file_path": "none", "content": "x"}
    assert people.dev.post(commits, json=body | {"actions": [update]}).status_code == 400
    stale = {"action": "update", "file_path": "README.md", "content": "x", "last_commit_id": "1" * 40}
    assert people.dev.post(commits, json=body | {"actions": [stale]}).status_code == 400
    assert people.dev.get(f"{world.path}/repository/branches/new-one").status_code == 404
    assert people.dev.get(f"{world.path}/repository/branches/main").json()["commit"]["id"] == head


def test_each_action_of_a_commit_finds_what_those_before_it_left(world: World, people: People) -> None:
    actions = [
        {"action": "create", "file_path": "box", "content": "a file\n"},
        {"action": "update", "file_path": "box", "content": "changed\n"},
        {"action": "create", "file_path": "box/inside", "content": "the file is a folder now\n"},
        {"action": "move", "previous_path": "box/inside", "file_path": "outside"},
        {"action": "chmod", "file_path": "outside", "execute_filemode": True},
    ]
    body = {"branch": "in-a-row", "start_branch": "main", "commit_message": "All", "actions": actions}
    path = f"{world.path}/repository"
    assert people.dev.post(f"{path}/commits", json=body).status_code == 201
    rows = people.dev.get(f"{path}/tree", params={"ref": "in-a-row"}).json()
    assert {row["path"]: row["mode"] for row in rows}.get("outside") == "100755"
    assert "box" not in [row["path"] for row in rows]
    gone = {"action": "update", "file_path": "box", "content": "again\n"}
    late = body | {"branch": "too-late", "actions": [*actions[:3], gone]}
    assert people.dev.post(f"{path}/commits", json=late).json() == {"message": "A file with this name doesn't exist"}


def test_a_name_too_long_for_the_disk_is_no_branch(world: World, people: People) -> None:
    long = "a" * 300
    assert people.dev.get(f"{world.path}/repository/branches/{long}").status_code == 404
    assert people.dev.get(f"{world.path}/repository/commits/{long}").status_code == 404


def test_one_file_is_made_changed_and_removed(world: World, people: People) -> None:
    file = f"{world.path}/repository/files/{quote('notes/a b.txt', safe='')}"
    people.dev.post(f"{world.path}/repository/branches", json={"branch": "files/one", "ref": "main"})
    body = {"branch": "files/one", "content": "hello", "commit_message": "m"}
    assert people.dev.post(file, json=body).json() == {"file_path": "notes/a b.txt", "branch": "files/one"}
    assert people.dev.post(file, json=body).status_code == 400
    assert people.dev.put(file, json=body | {"content": "bye"}).status_code == 200
    assert people.dev.get(f"{file}/raw", params={"ref": "files/one"}).text == "bye"
    gone = people.dev.request("DELETE", file, json={"branch": "files/one", "commit_message": "m"})
    assert gone.status_code == 204
    assert people.dev.get(file, params={"ref": "files/one"}).status_code == 404


def test_branches_with_slashes_and_dots_are_made_and_removed(world: World, people: People) -> None:
    branches = f"{world.path}/repository/branches"
    name = "feature/1.2-x_y"
    made = people.dev.post(branches, json={"branch": name, "ref": "main"})
    assert (made.status_code, made.json()["name"], made.json()["protected"]) == (201, name, False)
    assert people.dev.post(branches, json={"branch": name, "ref": "main"}).json() == {
        "message": "Branch already exists"
    }
    assert people.dev.get(f"{branches}/{quote(name, safe='')}").json()["can_push"] is True
    assert name in [row["name"] for row in people.dev.get(branches, params={"search": "1.2"}).json()]
    assert people.dev.delete(f"{branches}/{quote(name, safe='')}").status_code == 204
    assert people.dev.get(f"{branches}/{quote(name, safe='')}").json() == {"message": "404 Branch Not Found"}


def test_the_default_branch_is_protected_for_maintainers(world: World, people: People) -> None:
    main = people.dev.get(f"{world.path}/repository/branches/main").json()
    assert (main["protected"], main["default"], main["can_push"]) == (True, True, False)
    rule = people.dev.get(f"{world.path}/protected_branches").json()[0]
    assert (rule["name"], rule["push_access_levels"][0]["access_level"]) == ("main", 40)
    body = {"branch": "main", "commit_message": "m", "actions": [{"action": "create", "file_path": "x", "content": ""}]}
    refused = people.dev.post(f"{world.path}/repository/commits", json=body)
    assert refused.status_code == 403
    assert "protected branches" in refused.json()["message"]
    assert people.mia.delete(f"{world.path}/repository/branches/main").status_code == 403


def test_no_one_means_no_one(world: World, people: People) -> None:
    body = {"name": "frozen/*", "push_access_level": 0, "merge_access_level": 0}
    assert people.mia.post(f"{world.path}/protected_branches", json=body).status_code == 201
    answer = people.owen.post(f"{world.path}/repository/branches", json={"branch": "frozen/x", "ref": "main"})
    assert answer.status_code == 403


def test_commits_are_listed_shown_and_compared(world: World, people: People) -> None:
    sha = commit(people.dev, world.path, "compared", {"new/file.txt": "1\n2\n"})
    base = people.dev.get(f"{world.path}/repository/branches/main").json()["commit"]["id"]
    listed = people.dev.get(f"{world.path}/repository/commits", params={"ref_name": "compared"}).json()
    assert [row["id"] for row in listed] == [sha, base]
    shown = people.dev.get(f"{world.path}/repository/commits/compared").json()
    assert shown["stats"] == {"additions": 2, "deletions": 0, "total": 2}
    diff = people.dev.get(f"{world.path}/repository/commits/{sha}/diff").json()
    assert [(row["new_path"], row["new_file"], row["diff"]) for row in diff] == [
        ("new/file.txt", True, "@@ -0,0 +1,2 @@\n+1\n+2\n")
    ]
    compared = people.dev.get(f"{world.path}/repository/compare", params={"from": "main", "to": "compared"}).json()
    assert [row["id"] for row in compared["commits"]] == [sha]
    assert compared["diffs"][0]["new_path"] == "new/file.txt"
    merge_base = people.dev.get(f"{world.path}/repository/merge_base", params={"refs[]": ["main", "compared"]}).json()
    assert merge_base["id"] == base


def test_the_first_commit_of_an_empty_project_can_come_over_the_api(people: People) -> None:
    project = people.owen.post("/projects", json={"name": "empty-api"}).json()
    path = f"/projects/{project['id']}"
    assert people.owen.get(f"{path}/repository/commits").json() == []
    assert people.owen.get(f"{path}/repository/tree").json() == {"message": "404 Tree Not Found"}
    commit(people.owen, path, "main", {"a.txt": "a"}, start=None)
    assert people.owen.get(path).json()["empty_repo"] is False
