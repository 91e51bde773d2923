"""A whole review by python-gitlab, and the reactions of people to its notes."""

import itertools

import gitlab
import pytest

from tests.localforge.conftest import OnTier

BRANCHES = (f"client-{number}" for number in itertools.count())


@pytest.mark.parametrize("tier", ["free", "premium"])
def test_python_gitlab_reviews_a_merge_request(on_tier: OnTier, tier: str) -> None:
    tiered, branch = on_tier(tier), next(BRANCHES)
    path = tiered.opened(branch, "mia")
    with gitlab.Gitlab(tiered.world.forge.url, private_token=tiered.world.tokens["mia"]) as client:
        row = client.projects.get("acme/shop").mergerequests.get(path.rpartition("/")[2])
        name = f"{branch}.txt"
        at = row.diff_refs | {"position_type": "text", "old_path": name, "new_path": name, "new_line": 2}
        row.draft_notes.create({"note": "Here", "position": at})
        wrong = row.draft_notes.create({"note": "Wrong"})
        wrong.delete()
        assert [draft.note for draft in row.draft_notes.list(get_all=True)] == ["Here"]
        row.draft_notes.bulk_publish()
        thread = next(one for one in row.discussions.list(get_all=True) if not one.attributes["individual_note"])
        note = thread.attributes["notes"][0]
        assert (note["body"], note["position"]["new_line"]) == ("Here", 2)
        thread.notes.create({"body": "More"})
        thread.resolved = True
        thread.save()
        again = row.discussions.get(thread.id)
        assert [one["resolved"] for one in again.attributes["notes"]] == [True, True]
        assert [one.state for one in row.reviewer_details.list(get_all=True)] == ["unreviewed"]


def test_people_react_to_the_notes_of_a_review(on_tier: OnTier) -> None:
    tiered = on_tier("free")
    path = tiered.opened(next(BRANCHES))
    note = tiered.people.mia.post(f"{path}/notes", json={"body": "A finding"}).json()
    awards = f"{path}/notes/{note['id']}/award_emoji"
    made = tiered.people.dev.post(awards, json={"name": "thumbsdown"})
    assert (made.status_code, made.json()["name"], made.json()["user"]["username"]) == (201, "thumbsdown", "dev")
    tiered.people.rita.post(awards, params={"name": "thumbsup"})
    assert [row["name"] for row in tiered.people.mia.get(awards).json()] == ["thumbsdown", "thumbsup"]
    one = f"{awards}/{made.json()['id']}"
    assert tiered.people.rita.delete(one).status_code in {401, 403}
    assert tiered.people.dev.delete(one).status_code == 204
    assert tiered.people.eve.get(awards).status_code == 404
