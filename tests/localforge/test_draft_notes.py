"""Drafts: their author's alone until they are published, and then one review."""

import itertools
from typing import Any

import httpx2
import pytest

from tests.localforge.conftest import OnTier, Tiered
from tests.localforge.test_webhooks import Receiver, receiver  # noqa: F401 - a fixture

BRANCHES = (f"drafts-{number}" for number in itertools.count())


@pytest.fixture(params=["free", "premium"])
def any_tier(request: pytest.FixtureRequest, on_tier: OnTier) -> Tiered:
    return on_tier(request.param)


@pytest.fixture
def premium(on_tier: OnTier) -> Tiered:
    return on_tier("premium")


def drafted(client: httpx2.Client, path: str, note: str = "Here", **fields: Any) -> dict[str, Any]:
    answer = client.post(f"{path}/draft_notes", json={"note": note} | fields)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def position(tiered: Tiered, path: str, branch: str, **lines: int) -> dict[str, Any]:
    refs = tiered.people.dev.get(path).json()["diff_refs"]
    name = f"{branch}.txt"
    return dict(refs) | {"position_type": "text", "old_path": name, "new_path": name} | (lines or {"new_line": 2})


def bodies(client: httpx2.Client, path: str) -> list[str]:
    """What people have said, oldest first."""
    rows = client.get(f"{path}/notes", params={"sort": "asc", "per_page": 100, "activity_filter": "only_comments"})
    return [str(row["body"]) for row in rows.json()]


def test_a_draft_is_seen_by_its_author_alone(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    draft = drafted(people.mia, path, "Secret")
    one = f"{path}/draft_notes/{draft['id']}"
    assert people.mia.get(one).json() == draft
    assert (draft["author_id"], draft["note"], draft["position"]) == (premium.ids["mia"], "Secret", None)
    for other in (people.dev, people.owen, people.root):
        assert other.get(f"{path}/draft_notes").json() == []
        assert other.get(one).status_code == 404
        assert other.put(one, json={"note": "x"}).status_code == 404
        assert other.put(f"{one}/publish").status_code == 404
        assert other.delete(one).status_code == 404
    assert people.nobody.get(f"{path}/draft_notes").status_code in {401, 404}
    assert people.eve.get(f"{path}/draft_notes").status_code == 404
    assert bodies(people.dev, path) == []
    assert people.dev.post(f"{path}/draft_notes/bulk_publish").status_code == 204
    assert bodies(people.dev, path) == []


def test_a_draft_is_changed_and_thrown_away(premium: Tiered) -> None:
    branch = next(BRANCHES)
    people, path = premium.people, premium.opened(branch)
    draft = drafted(people.mia, path, position=position(premium, path, branch))
    one = f"{path}/draft_notes/{draft['id']}"
    changed = people.mia.put(one, json={"note": "Better", "position": draft["position"]}).json()
    assert (changed["note"], changed["position"]) == ("Better", draft["position"])
    assert people.mia.put(one, json={"note": "Best"}).json()["position"] is None
    assert people.mia.delete(one).status_code == 204
    assert people.mia.get(f"{path}/draft_notes").json() == []
    assert people.mia.post(f"{path}/draft_notes", json={"note": "  "}).status_code == 400
    assert people.mia.post(f"{path}/draft_notes", json={}).status_code == 400
    wrong = position(premium, path, branch, new_line=99)
    assert people.mia.post(f"{path}/draft_notes", json={"note": "x", "position": wrong}).status_code == 400
    answer = people.mia.post(f"{path}/draft_notes", json={"note": "x", "in_reply_to_discussion_id": "0" * 40})
    assert answer.status_code == 400


def test_one_draft_is_published_by_itself(any_tier: Tiered) -> None:
    branch = next(BRANCHES)
    people, path = any_tier.people, any_tier.opened(branch)
    drafted(people.mia, path, "Later")
    draft = drafted(people.mia, path, "Now", position=position(any_tier, path, branch))
    assert people.mia.put(f"{path}/draft_notes/{draft['id']}/publish").status_code == 204
    (note,) = (thread["notes"][0] for thread in people.dev.get(f"{path}/discussions").json())
    assert (note["type"], note["body"], note["position"]) == ("DiffNote", "Now", draft["position"])
    assert [one["note"] for one in people.mia.get(f"{path}/draft_notes").json()] == ["Later"]


def test_a_review_is_published_as_one_with_its_summary_and_state(any_tier: Tiered) -> None:
    branch = next(BRANCHES)
    people, path = any_tier.people, any_tier.opened(branch, "mia")
    for line in (1, 2, 3):
        drafted(people.mia, path, f"Line {line}", position=position(any_tier, path, branch, new_line=line))
    whole = {"reviewer_state": "requested_changes", "note": "Three things"}
    answer = people.mia.post(f"{path}/draft_notes/bulk_publish", json=whole)
    assert (answer.status_code, answer.content) == (204, b"")
    assert bodies(people.dev, path) == ["Line 1", "Line 2", "Line 3", "Three things"]
    assert any_tier.states(path) == {"mia": "requested_changes"}
    licensed = any_tier.world.forge.settings.tier != "free"
    assert any_tier.status(path) == ("requested_changes" if licensed else "mergeable")
    assert people.mia.post(f"{path}/draft_notes/bulk_publish").status_code == 204
    assert len(bodies(people.dev, path)) == 4


def test_a_state_neither_approves_nor_undoes_a_verdict(any_tier: Tiered) -> None:
    people, path = any_tier.people, any_tier.opened(next(BRANCHES), "mia")
    publish = f"{path}/draft_notes/bulk_publish"
    assert people.mia.post(publish, json={"reviewer_state": "approved"}).status_code == 400
    assert people.mia.post(publish, json={"reviewer_state": "reviewed"}).status_code == 204
    assert any_tier.states(path) == {"mia": "reviewed"}
    people.mia.post(f"{path}/approve")
    people.mia.post(publish, json={"reviewer_state": "reviewed", "note": "Fine"})
    assert any_tier.states(path) == {"mia": "approved"}
    assert len(people.dev.get(f"{path}/approvals").json()["approved_by"]) == 1


def test_the_state_of_whoever_is_no_reviewer_is_ignored(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES), "rita")
    for client in (people.dev, people.mia, people.rita):
        answer = client.post(f"{path}/draft_notes/bulk_publish", json={"reviewer_state": "requested_changes"})
        assert answer.status_code == 204
    # A Reporter's verdict does not count, reviewer or not.
    assert premium.states(path) == {"rita": "unreviewed"}
    assert premium.status(path) == "mergeable"


def test_an_internal_summary_is_for_reporters_and_above(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    people.mia.post(f"{path}/draft_notes/bulk_publish", json={"note": "Between us", "internal": True})
    (note,) = people.rita.get(f"{path}/notes").json()
    assert (note["body"], note["internal"]) == ("Between us", True)


def test_a_drafted_answer_resolves_its_thread_or_opens_it_again(premium: Tiered) -> None:
    branch = next(BRANCHES)
    people, path = premium.people, premium.opened(branch)
    body = {"body": "Why?", "position": position(premium, path, branch)}
    thread = people.mia.post(f"{path}/discussions", json=body).json()

    def answered(client: httpx2.Client, text: str, *, resolve: bool) -> list[dict[str, Any]]:
        drafted(client, path, text, in_reply_to_discussion_id=thread["id"], resolve_discussion=resolve)
        client.post(f"{path}/draft_notes/bulk_publish")
        return list(people.dev.get(f"{path}/discussions/{thread['id']}").json()["notes"])

    notes = answered(people.dev, "Done", resolve=True)
    assert [note["body"] for note in notes] == ["Why?", "Done"]
    assert all(note["resolved"] and note["resolved_by"]["username"] == "dev" for note in notes)
    assert notes[1]["position"] == notes[0]["position"]
    assert not any(note["resolved"] for note in answered(people.mia, "Not quite", resolve=False))
    # Whoever may not resolve a thread does not do so by a draft either.
    assert not any(note["resolved"] for note in answered(people.rita, "Resolve!", resolve=True))


def test_an_answer_to_a_plain_note_makes_it_a_thread(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    people.dev.post(f"{path}/notes", json={"body": "Plain"})
    (plain,) = people.dev.get(f"{path}/discussions").json()
    drafted(people.mia, path, "Answer", in_reply_to_discussion_id=plain["id"])
    people.mia.post(f"{path}/draft_notes/bulk_publish")
    thread = people.dev.get(f"{path}/discussions/{plain['id']}").json()
    assert (thread["individual_note"], [note["body"] for note in thread["notes"]]) == (False, ["Plain", "Answer"])


def test_orders_in_drafts_and_summaries_wait_for_the_publishing(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES), "mia")
    drafted(people.mia, path, "Fine\n/approve")
    drafted(people.mia, path, "/draft")
    assert premium.states(path) == {"mia": "unreviewed"}
    people.mia.post(f"{path}/draft_notes/bulk_publish", json={"note": "All in all\n/ready"})
    assert bodies(people.dev, path) == ["Fine", "All in all"]
    assert (premium.states(path), premium.status(path)) == ({"mia": "approved"}, "mergeable")


def test_each_note_of_a_review_is_told_to_the_webhooks_when_it_is_published(
    premium: Tiered,
    receiver: Receiver,  # noqa: F811
) -> None:
    branch = next(BRANCHES)
    people, path = premium.people, premium.opened(branch)
    wanted = {"url": receiver.url, "note_events": True, "push_events": False}
    hook = people.mia.post(f"{premium.path}/hooks", json=wanted).json()["id"]
    drafted(people.mia, path, "One", position=position(premium, path, branch, new_line=1))
    drafted(people.mia, path, "Two", position=position(premium, path, branch, new_line=2))
    people.mia.post(f"{path}/draft_notes/bulk_publish", json={"note": "Summary"})
    got = [payload for _, payload in receiver.wait(3)]
    people.mia.delete(f"{premium.path}/hooks/{hook}")
    assert [one["object_attributes"]["note"] for one in got] == ["One", "Two", "Summary"]
    first = got[0]
    assert (first["object_kind"], first["object_attributes"]["type"]) == ("note", "DiffNote")
    assert first["object_attributes"]["position"]["new_line"] == 1
    assert len(first["object_attributes"]["discussion_id"]) == 40
    assert str(first["merge_request"]["iid"]) == path.rpartition("/")[2]


def test_a_draft_that_submits_the_review_is_published_once(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES), "mia")
    drafted(people.mia, path, "One\n/submit_review")
    drafted(people.mia, path, "Two\n/submit_review reviewed")
    assert people.mia.post(f"{path}/draft_notes/bulk_publish").status_code == 204
    assert sorted(bodies(people.dev, path)) == ["One", "Two"]
    assert premium.states(path) == {"mia": "reviewed"}
