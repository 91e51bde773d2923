"""Orders in notes: carried out with the rights of whoever writes them, and taken out of the note."""

import itertools
from typing import Any

import httpx2
import pytest

from tests.localforge.conftest import OnTier, Tiered

BRANCHES = (f"orders-{number}" for number in itertools.count())


@pytest.fixture
def premium(on_tier: OnTier) -> Tiered:
    return on_tier("premium")


def said(client: httpx2.Client, path: str, body: str) -> tuple[int, dict[str, Any]]:
    answer = client.post(f"{path}/notes", json={"body": body})
    return answer.status_code, answer.json()


def people_said(tiered: Tiered, path: str) -> list[str]:
    rows = tiered.people.dev.get(f"{path}/notes", params={"activity_filter": "only_comments"}).json()
    return [row["body"] for row in rows]


def test_orders_alone_make_no_note(premium: Tiered) -> None:
    path = premium.opened(next(BRANCHES), "mia")
    status, answer = said(premium.people.mia, path, "/approve")
    assert (status, answer["summary"]) == (202, ["Approved the current merge request."])
    assert list(answer) == ["commands_changes", "summary"]
    assert people_said(premium, path) == []
    assert premium.states(path) == {"mia": "approved"}


def test_orders_are_taken_out_of_a_note(premium: Tiered) -> None:
    path = premium.opened(next(BRANCHES), "mia")
    status, note = said(premium.people.mia, path, "Nearly.\n\n/request_changes\n\nSee above.")
    assert (status, note["body"]) == (201, "Nearly.\n\n\nSee above.")
    assert premium.states(path) == {"mia": "requested_changes"}


@pytest.mark.parametrize(
    "text",
    [
        "```\n/approve\n```",
        "~~~ sh\n/approve\n~~~",
        "`/approve`",
        "Please /approve",
        "/approved",
        "/etc/passwd",
        "> /approve",
        "/Approve",
        "````\n```\n/approve\n````",
        "```\n/approve",
        "    /approve",
        "<!--\n/approve\n-->",
        "\r\r\r```\n/approve\n```",
    ],
)
def test_what_is_no_order_stays_as_it_is(premium: Tiered, text: str) -> None:
    path = premium.opened(next(BRANCHES), "mia")
    status, note = said(premium.people.mia, path, text)
    assert (status, note["body"]) == (201, text)
    assert premium.states(path) == {"mia": "unreviewed"}


@pytest.mark.parametrize(
    ("order", "state"),
    [
        ("/submit_review", "reviewed"),
        ("/submit_review reviewed", "reviewed"),
        ("/submit_review requested_changes", "requested_changes"),
        ("/submit_review approve", "approved"),
        ("/request_changes", "requested_changes"),
        ("/approve\n/unapprove", "unapproved"),
    ],
)
@pytest.mark.parametrize("tier", ["free", "premium"])
def test_a_review_is_submitted_by_an_order(on_tier: OnTier, tier: str, order: str, state: str) -> None:
    tiered = on_tier(tier)
    path = tiered.opened(next(BRANCHES), "mia")
    tiered.people.mia.post(f"{path}/draft_notes", json={"note": "Drafted"})
    assert said(tiered.people.mia, path, order)[0] == 202
    assert tiered.states(path) == {"mia": state}
    published = order.startswith("/submit_review")
    assert people_said(tiered, path) == (["Drafted"] if published else [])


def test_an_order_beyond_ones_rights_is_refused_and_changes_nothing(premium: Tiered) -> None:
    path = premium.opened(next(BRANCHES), "mia", "rita")
    before = premium.people.dev.get(path).json()
    for order in (
        "/approve",
        "/unapprove",
        "/request_changes",
        "/submit_review approve",
        "/submit_review requested_changes",
        "/draft",
        "/close",
        "/merge",
        "/assign_reviewer @rita",
        "/unassign_reviewer @mia",
    ):
        status, answer = said(premium.people.rita, path, order)
        name = order.split()[0].removeprefix("/")
        assert (status, answer["summary"]) == (202, [f"Could not apply {name} command."])
    after = premium.people.dev.get(path).json()
    assert {name: after[name] for name in before if name != "updated_at"} == {
        name: before[name] for name in before if name != "updated_at"
    }
    assert premium.states(path) == {"mia": "unreviewed", "rita": "unreviewed"}
    assert premium.people.dev.get(f"{path}/approvals").json()["approved_by"] == []


def test_an_author_closes_and_reopens_and_makes_a_draft(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    assert said(people.dev, path, "/draft")[1]["commands_changes"] == {"wip_event": "draft"}
    assert premium.status(path) == "draft_status"
    said(people.dev, path, "/ready")
    assert premium.status(path) == "mergeable"
    said(people.dev, path, "/close")
    closed = people.dev.get(path).json()
    assert (closed["state"], closed["closed_by"]["username"]) == ("closed", "dev")
    said(people.dev, path, "/reopen")
    assert premium.status(path) == "mergeable"


def test_a_merge_by_order_keeps_to_the_same_gates(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES), "mia")
    said(people.mia, path, "/request_changes")
    assert said(people.mia, path, "/merge")[1]["summary"] == ["Could not apply merge command."]
    said(people.mia, path, "/approve")
    assert said(people.dev, path, "/merge")[1]["summary"] == ["Could not apply merge command."]
    assert said(people.mia, path, "/merge")[1]["summary"] == ["Merged this merge request."]
    assert people.dev.get(path).json()["state"] == "merged"


@pytest.mark.parametrize(("tier", "after"), [("free", ["owen"]), ("premium", ["mia", "owen"])])
def test_reviewers_are_asked_asked_again_and_let_go(on_tier: OnTier, tier: str, after: list[str]) -> None:
    tiered = on_tier(tier)
    people, path = tiered.people, tiered.opened(next(BRANCHES), "mia")
    people.mia.post(f"{path}/approve")
    said(people.dev, path, "/request_review @mia")
    assert tiered.states(path) == {"mia": "unreviewed"}
    said(people.dev, path, "/assign_reviewer @owen")
    assert sorted(tiered.states(path)) == after
    assert said(people.dev, path, "/assign_reviewer @eve")[1]["summary"] == ["Could not apply assign_reviewer command."]
    assert said(people.dev, path, "/assign_reviewer @nobody-here")[0] == 202
    said(people.dev, path, "/unassign_reviewer @owen")
    assert sorted(tiered.states(path)) == [name for name in after if name != "owen"]
    said(people.dev, path, "/unassign_reviewer")
    assert tiered.states(path) == {}


def test_labels_and_assignees(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    for name in ("bug", "needs review"):
        people.mia.post(f"{premium.path}/labels", json={"name": name, "color": "#123456"})
    said(people.dev, path, '/label ~bug ~"needs review" ~unknown\n/assign @mia')
    row = people.dev.get(path).json()
    assert (row["labels"], [user["username"] for user in row["assignees"]]) == (["bug", "needs review"], ["mia"])
    said(people.dev, path, "/unlabel ~bug\n/unassign @mia")
    row = people.dev.get(path).json()
    assert (row["labels"], row["assignees"]) == (["needs review"], [])


def test_orders_on_issues(premium: Tiered) -> None:
    people = premium.people
    issue = people.rita.post(f"{premium.path}/issues", json={"title": "An issue"}).json()
    path = f"{premium.path}/issues/{issue['iid']}"
    assert said(people.rita, path, "/approve")[1]["summary"] == ["Could not apply approve command."]
    said(people.rita, path, "/close")
    assert people.rita.get(path).json()["state"] == "closed"
    assert said(people.gus, path, "/reopen")[1]["summary"] == ["Could not apply reopen command."]
    said(people.dev, path, "/reopen")
    assert people.rita.get(path).json()["state"] == "opened"


def test_orders_in_an_answer_and_in_a_new_thread(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES), "mia")
    made = people.mia.post(f"{path}/discussions", json={"body": "Look\n/request_changes"}).json()
    assert made["notes"][0]["body"] == "Look"
    assert premium.states(path) == {"mia": "requested_changes"}
    answer = people.mia.post(f"{path}/discussions/{made['id']}/notes", json={"body": "/approve"})
    assert answer.status_code == 202
    assert premium.states(path) == {"mia": "approved"}
    assert len(people.dev.get(f"{path}/discussions/{made['id']}").json()["notes"]) == 1


def test_orders_in_the_description_of_a_new_merge_request(premium: Tiered) -> None:
    path = premium.opened(next(BRANCHES), description="What and why\n\n/assign_reviewer @mia\n/draft")
    row = premium.people.dev.get(path).json()
    assert (row["description"], row["draft"]) == ("What and why", True)
    assert premium.states(path) == {"mia": "unreviewed"}
