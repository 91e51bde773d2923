"""Issues with their notes, threads and links."""

from typing import Any

import pytest

from tests.localforge.conftest import People, World, open_merge_request


@pytest.fixture
def issue(world: World, people: People) -> dict[str, Any]:
    body = {"title": "Something", "description": "- [x] one\n- [ ] two", "labels": "bug,ui"}
    answer = people.rita.post(f"{world.path}/issues", json=body)
    assert answer.status_code == 201
    return dict(answer.json())


def system_notes(client: Any, path: str) -> list[str]:
    notes = client.get(f"{path}/notes", params={"sort": "asc"}).json()
    return [note["body"] for note in notes if note["system"]]


def test_an_issue_is_opened_changed_and_closed(world: World, people: People, issue: dict[str, Any]) -> None:
    assert issue["labels"] == ["bug", "ui"]
    assert issue["task_completion_status"] == {"count": 2, "completed_count": 1}
    assert issue["references"]["full"] == f"acme/shop#{issue['iid']}"
    path = f"{world.path}/issues/{issue['iid']}"
    changed = people.rita.put(path, json={"title": "Better", "add_labels": "new", "remove_labels": "ui"}).json()
    assert (changed["title"], changed["labels"]) == ("Better", ["bug", "new"])
    closed = people.rita.put(path, json={"state_event": "close"}).json()
    assert (closed["state"], closed["closed_by"]["username"]) == ("closed", "rita")
    assert people.rita.put(path, json={"state_event": "reopen"}).json()["state"] == "opened"
    assert system_notes(people.rita, path) == ["changed title from **Something** to **Better**"]


def test_an_issue_without_a_title_is_refused(world: World, people: People) -> None:
    answer = people.dev.post(f"{world.path}/issues", json={})
    assert (answer.status_code, answer.json()) == (400, {"error": "title is missing"})
    assert people.dev.post(f"{world.path}/issues", json={"title": "x" * 256}).json()["message"]["title"]
    assert people.dev.get(f"{world.path}/issues/9999").json() == {"message": "404 Issue Not Found"}


def test_issues_are_filtered(world: World, people: People, issue: dict[str, Any]) -> None:
    other = people.dev.post(f"{world.path}/issues", json={"title": "Needle in hay"}).json()

    def iids(**params: Any) -> list[int]:
        return [row["iid"] for row in people.dev.get(f"{world.path}/issues", params=params).json()]

    assert iids(search="needle") == [other["iid"]]
    assert iids(labels="bug", search="something")[:1] == [issue["iid"]]
    assert iids(**{"iids[]": [issue["iid"], other["iid"]]}, sort="asc") == [issue["iid"], other["iid"]]
    assert iids(author_username="dev", search="needle") == [other["iid"]]
    assert iids(state="closed", search="needle") == []


def test_a_guest_changes_only_their_own_issues(world: World, people: People, issue: dict[str, Any]) -> None:
    assert people.gus.put(f"{world.path}/issues/{issue['iid']}", json={"title": "x"}).status_code == 403
    own = people.gus.post(f"{world.path}/issues", json={"title": "Mine", "labels": "bug"}).json()
    assert own["labels"] == []
    assert people.gus.put(f"{world.path}/issues/{own['iid']}", json={"title": "Still mine"}).status_code == 200


def test_a_confidential_issue_is_hidden_from_guests(world: World, people: People) -> None:
    secret = people.rita.post(f"{world.path}/issues", json={"title": "Secret", "confidential": True}).json()
    assert people.gus.get(f"{world.path}/issues/{secret['iid']}").status_code == 404
    assert "Secret" not in people.gus.get(f"{world.path}/issues").text
    assert people.rita.get(f"{world.path}/issues/{secret['iid']}").status_code == 200


def test_notes_are_written_changed_by_their_author_and_deleted(
    world: World, people: People, issue: dict[str, Any]
) -> None:
    notes = f"{world.path}/issues/{issue['iid']}/notes"
    made = people.gus.post(notes, json={"body": "Hello"})
    assert made.status_code == 201
    note = made.json()
    assert (note["type"], note["resolvable"], "position" in note) == (None, False, False)
    assert (note["noteable_type"], note["noteable_iid"]) == ("Issue", issue["iid"])
    assert people.dev.put(f"{notes}/{note['id']}", json={"body": "Not yours"}).status_code == 403
    assert people.gus.put(f"{notes}/{note['id']}", json={"body": "Better"}).json()["body"] == "Better"
    assert people.gus.post(notes, json={"body": ""}).status_code == 400
    assert people.gus.delete(f"{notes}/{note['id']}").status_code == 204
    assert people.gus.get(f"{notes}/{note['id']}").json() == {"message": "404 Note Not Found"}


def test_a_note_of_another_issue_is_not_found_here(world: World, people: People, issue: dict[str, Any]) -> None:
    other = people.dev.post(f"{world.path}/issues", json={"title": "Other"}).json()
    note = people.dev.post(f"{world.path}/issues/{other['iid']}/notes", json={"body": "x"}).json()
    assert people.dev.get(f"{world.path}/issues/{issue['iid']}/notes/{note['id']}").status_code == 404


def test_internal_notes_are_for_reporters(world: World, people: People, issue: dict[str, Any]) -> None:
    notes = f"{world.path}/issues/{issue['iid']}/notes"
    assert people.gus.post(notes, json={"body": "x", "internal": True}).status_code == 403
    people.rita.post(notes, json={"body": "between us", "internal": True})
    assert "between us" not in people.gus.get(notes).text
    assert "between us" not in people.gus.get(notes.replace("notes", "discussions")).text
    assert "between us" in people.dev.get(notes).text


def test_a_thread_is_begun_and_answered(world: World, people: People, issue: dict[str, Any]) -> None:
    threads = f"{world.path}/issues/{issue['iid']}/discussions"
    thread = people.dev.post(threads, json={"body": "Why?"}).json()
    assert len(thread["id"]) == 40
    assert thread["individual_note"] is False
    answer = people.rita.post(f"{threads}/{thread['id']}/notes", data={"body": "Because"})
    assert answer.status_code == 201, answer.text
    people.rita.post(threads.replace("discussions", "notes"), json={"body": "Plain"})
    listed = people.dev.get(threads).json()
    assert [[note["body"] for note in row["notes"]] for row in listed] == [["Why?", "Because"], ["Plain"]]
    assert [row["individual_note"] for row in listed] == [False, True]


def test_a_merge_request_that_names_an_issue_is_linked_to_it_once(
    world: World, people: People, issue: dict[str, Any]
) -> None:
    iid = issue["iid"]
    closing = open_merge_request(people.dev, world.path, f"closes-{iid}", description=f"Closes #{iid}")
    naming = open_merge_request(people.dev, world.path, f"names-{iid}", description=f"See #{iid}, `Closes #{iid}`")
    for _ in range(2):
        changed = people.dev.put(
            f"{world.path}/merge_requests/{naming['iid']}", json={"description": f"See #{iid} still"}
        )
        assert changed.status_code == 200
    path = f"{world.path}/issues/{iid}"
    assert [row["iid"] for row in people.dev.get(f"{path}/closed_by").json()] == [closing["iid"]]
    related = [row["iid"] for row in people.dev.get(f"{path}/related_merge_requests").json()]
    assert related == [closing["iid"], naming["iid"]]
    assert system_notes(people.dev, path) == [
        f"mentioned in merge request !{closing['iid']}",
        f"mentioned in merge request !{naming['iid']}",
    ]


def test_emoji_are_awarded_once_by_each(world: World, people: People, issue: dict[str, Any]) -> None:
    awards = f"{world.path}/issues/{issue['iid']}/award_emoji"
    assert people.dev.post(awards, json={"name": "thumbsup"}).status_code == 201
    assert people.dev.post(awards, json={"name": "thumbsup"}).status_code == 404
    assert people.rita.post(awards, json={"name": "thumbsup"}).status_code == 201
    assert people.dev.get(f"{world.path}/issues/{issue['iid']}").json()["upvotes"] == 2
    award = people.dev.get(awards).json()[0]
    assert people.rita.delete(f"{awards}/{award['id']}").status_code == 403
    assert people.dev.delete(f"{awards}/{award['id']}").status_code == 204
