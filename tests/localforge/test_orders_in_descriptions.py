"""Quick actions in descriptions are carried out, for whoever wrote them, and are no part of the text."""

from tests.localforge.conftest import People, World, open_merge_request


def test_orders_in_an_issues_description_are_carried_out(world: World, people: People) -> None:
    people.dev.post(f"{world.path}/labels", json={"name": "bug", "color": "#ff0000"})
    sent = {"title": "Ordered", "description": "Text\n/label ~bug\n/assign @mia\n\n```\n/close\n```"}
    issue = people.dev.post(f"{world.path}/issues", json=sent).json()
    assert (issue["labels"], issue["state"]) == (["bug"], "opened")
    assert [one["username"] for one in issue["assignees"]] == ["mia"]
    assert issue["description"] == "Text\n\n```\n/close\n```"
    path = f"{world.path}/issues/{issue['iid']}"
    edited = people.dev.put(path, json={"description": "Text\n/close"}).json()
    assert (edited["description"], edited["state"]) == ("Text", "closed")
    assert people.dev.put(path, json={"description": "Text"}).json()["state"] == "closed"


def test_a_stranger_orders_nothing_by_a_description(world: World, people: People) -> None:
    sent = {"title": "By a guest", "description": "Text\n/label ~bug\n/assign @mia"}
    issue = people.gus.post(f"{world.path}/issues", json=sent).json()
    assert (issue["labels"], issue["assignees"]) == ([], [])


def test_orders_in_an_edited_merge_request_are_carried_out(world: World, people: People) -> None:
    row = open_merge_request(people.dev, world.path, "ordered")
    path = f"{world.path}/merge_requests/{row['iid']}"
    edited = people.dev.put(path, json={"description": "Text\n/draft\n/assign_reviewer @mia\n/approve"}).json()
    assert (edited["description"], edited["draft"]) == ("Text", True)
    assert [one["username"] for one in edited["reviewers"]] == ["mia"]
    assert people.dev.get(f"{path}/approvals").json()["approved_by"] == []
