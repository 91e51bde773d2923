"""Notes at lines of a diff: the right numbers are taken, all others refused as GitLab refuses them."""

import base64
from typing import Any

import pytest

from tests.localforge.conftest import FILES, People, World

WRONG = '400 Bad request - Note {:line_code=>["can\'t be blank", "must be a valid line code"]}'


@pytest.fixture(scope="module")
def merge_request(world: World, people: People) -> dict[str, Any]:
    """One file with line 15 replaced and a line added after it, one renamed, one new."""
    lines = FILES["src/app.py"].splitlines(keepends=True)
    lines[14:15] = ["changed\n", "added\n"]
    actions = [
        {"action": "update", "file_path": "src/app.py", "content": "".join(lines)},
        {
            "action": "create",
            "file_path": "new.txt",
            "content": base64.b64encode(b"1\n2\n").decode(),
            "encoding": "base64",
        },
        {"action": "move", "file_path": "READ.md", "previous_path": "README.md"},
    ]
    body = {"branch": "positions", "start_branch": "main", "commit_message": "m", "actions": actions}
    assert people.dev.post(f"{world.path}/repository/commits", json=body).status_code == 201
    body = {"source_branch": "positions", "target_branch": "main", "title": "Positions"}
    return dict(people.dev.post(f"{world.path}/merge_requests", json=body).json())


def position(row: dict[str, Any], path: str = "src/app.py", **lines: Any) -> dict[str, Any]:
    return dict(row["diff_refs"]) | {"position_type": "text", "old_path": path, "new_path": path} | lines


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("src/app.py", {"new_line": 15}),
        ("src/app.py", {"new_line": 16}),
        ("src/app.py", {"old_line": 15}),
        ("src/app.py", {"old_line": 14, "new_line": 14}),
        ("src/app.py", {"old_line": 16, "new_line": 17}),
        ("src/app.py", {"old_line": 30, "new_line": 31}),
        ("new.txt", {"new_line": 2}),
    ],
)
def test_a_line_of_the_diff_takes_a_note(
    world: World, people: People, merge_request: dict[str, Any], path: str, lines: dict[str, int]
) -> None:
    threads = f"{world.path}/merge_requests/{merge_request['iid']}/discussions"
    answer = people.rita.post(threads, json={"body": "Here", "position": position(merge_request, path, **lines)})
    assert answer.status_code == 201, answer.text
    note = answer.json()["notes"][0]
    assert (note["type"], note["resolvable"], note["resolved"]) == ("DiffNote", True, False)
    assert {name: note["position"][name] for name in lines} == lines


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("src/app.py", {"new_line": 14}),
        ("src/app.py", {"old_line": 16}),
        ("src/app.py", {"old_line": 15, "new_line": 15}),
        ("src/app.py", {"old_line": 17, "new_line": 17}),
        ("src/app.py", {"old_line": 300, "new_line": 301}),
        ("src/app.py", {}),
        ("new.txt", {"new_line": 3}),
        ("new.txt", {"old_line": 1, "new_line": 1}),
        ("none.txt", {"new_line": 1}),
        ("src/app.py", {"new_line": 15, "head_sha": "1" * 40}),
    ],
)
def test_a_line_that_is_not_in_the_diff_is_refused(
    world: World, people: People, merge_request: dict[str, Any], path: str, lines: dict[str, Any]
) -> None:
    threads = f"{world.path}/merge_requests/{merge_request['iid']}/discussions"
    answer = people.rita.post(threads, json={"body": "Here", "position": position(merge_request, path, **lines)})
    assert (answer.status_code, answer.json()) == (400, {"message": WRONG})


def test_a_position_may_come_as_a_form(world: World, people: People, merge_request: dict[str, Any]) -> None:
    threads = f"{world.path}/merge_requests/{merge_request['iid']}/discussions"
    fields = {f"position[{key}]": str(value) for key, value in position(merge_request, new_line=15).items()}
    assert people.rita.post(threads, data={"body": "Form"} | fields).status_code == 201
    parts = [(name, (None, value)) for name, value in ({"body": "Multipart"} | fields).items()]
    answer = people.rita.post(threads, files=parts)
    assert answer.status_code == 201, answer.text
    assert answer.json()["notes"][0]["position"]["new_line"] == 15


def test_a_whole_file_takes_a_note(world: World, people: People, merge_request: dict[str, Any]) -> None:
    threads = f"{world.path}/merge_requests/{merge_request['iid']}/discussions"
    whole = position(merge_request) | {"position_type": "file", "old_path": "README.md", "new_path": "READ.md"}
    assert people.rita.post(threads, json={"body": "File", "position": whole}).status_code == 201
    incomplete = {key: value for key, value in whole.items() if key != "base_sha"}
    answer = people.rita.post(threads, json={"body": "File", "position": incomplete})
    assert answer.json() == {"error": "position[base_sha] is missing"}


def test_threads_are_resolved_by_developers_and_hold_the_merge(
    world: World, people: People, merge_request: dict[str, Any]
) -> None:
    path = f"{world.path}/merge_requests/{merge_request['iid']}"
    people.mia.put(world.path, json={"only_allow_merge_if_all_discussions_are_resolved": True})
    threads = people.dev.get(f"{path}/discussions", params={"per_page": 100}).json()
    assert people.dev.get(path).json()["detailed_merge_status"] == "discussions_not_resolved"
    assert people.mia.put(f"{path}/merge").status_code == 405
    assert people.rita.put(f"{path}/discussions/{threads[0]['id']}", params={"resolved": True}).status_code == 403
    for thread in threads:
        if thread["notes"][0]["resolvable"]:
            resolved = people.dev.put(f"{path}/discussions/{thread['id']}", params={"resolved": True}).json()
            assert resolved["notes"][0]["resolved_by"]["username"] == "dev"
    after = people.dev.get(path).json()
    assert (after["detailed_merge_status"], after["blocking_discussions_resolved"]) == ("mergeable", True)
    note = people.dev.post(f"{path}/discussions", json={"body": "Again"}).json()["notes"][0]
    assert people.dev.put(f"{path}/notes/{note['id']}", json={"resolved": True}).json()["resolved"] is True
    plain = people.dev.post(f"{path}/notes", json={"body": "Plain"}).json()
    assert people.dev.put(f"{path}/notes/{plain['id']}", json={"resolved": True}).status_code == 403
    assert people.dev.get(path).json()["user_notes_count"] >= 2
