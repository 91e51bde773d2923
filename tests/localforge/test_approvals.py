"""Approving, taking it back, asking for changes and the rules in force, over HTTP on each tier."""

import itertools
from collections.abc import Iterator
from typing import Any

import gitlab
import pytest

from tests.localforge.conftest import OnTier, Tiered, commit, git, open_merge_request

BRANCHES = (f"approvals-{number}" for number in itertools.count())
RULE = {"name": "Two eyes", "approvals_required": 1}


@pytest.fixture(params=["free", "premium", "ultimate"])
def any_tier(request: pytest.FixtureRequest, on_tier: OnTier) -> Tiered:
    return on_tier(request.param)


@pytest.fixture
def premium(on_tier: OnTier) -> Tiered:
    return on_tier("premium")


@pytest.fixture
def free(on_tier: OnTier) -> Tiered:
    return on_tier("free")


@pytest.fixture
def settings(premium: Tiered) -> Iterator[str]:
    """The path of the approval settings, which are as GitLab ships them again afterwards."""
    yield f"{premium.path}/approvals"
    shipped = {
        "reset_approvals_on_push": True,
        "disable_overriding_approvers_per_merge_request": False,
        "merge_requests_author_approval": False,
        "merge_requests_disable_committers_approval": False,
    }
    assert premium.people.mia.post(f"{premium.path}/approvals", json=shipped).status_code == 201


def test_an_approval_is_given_once_and_taken_back_once(any_tier: Tiered) -> None:
    people, path = any_tier.people, any_tier.opened(next(BRANCHES), "mia")
    given = people.mia.post(f"{path}/approve")
    assert given.status_code == 201
    assert [row["user"]["username"] for row in given.json()["approved_by"]] == ["mia"]
    assert (given.json()["user_has_approved"], given.json()["user_can_approve"]) == (True, False)
    assert any_tier.states(path) == {"mia": "approved"}
    assert people.mia.post(f"{path}/approve").status_code == 401
    assert people.dev.get(f"{path}/approvals").json()["user_has_approved"] is False
    assert people.mia.post(f"{path}/unapprove").status_code == 201
    assert people.mia.post(f"{path}/unapprove").status_code == 404
    assert any_tier.states(path) == {"mia": "unapproved"}
    assert any_tier.said(path)[:2] == ["unapproved this merge request", "approved this merge request"]


def test_who_may_not_approve(any_tier: Tiered) -> None:
    people, path = any_tier.people, any_tier.opened(next(BRANCHES))
    assert people.dev.post(f"{path}/approve").status_code == 401
    assert people.rita.post(f"{path}/approve").status_code == 401
    assert people.gus.post(f"{path}/approve").status_code == 403
    assert people.eve.post(f"{path}/approve").status_code == 404
    assert people.nobody.post(f"{path}/approve").status_code == 401
    assert people.dev.get(f"{path}/approvals").json()["approved_by"] == []
    people.dev.put(path, json={"state_event": "close"})
    assert people.mia.post(f"{path}/approve").status_code == 401


def test_an_approval_of_a_commit_that_is_not_the_head_is_refused(any_tier: Tiered) -> None:
    people, path = any_tier.people, any_tier.opened(next(BRANCHES))
    head = people.dev.get(path).json()["sha"]
    wrong = people.mia.post(f"{path}/approve", json={"sha": "1" * 40})
    assert (wrong.status_code, wrong.json()["message"]) == (409, f"SHA does not match HEAD of source branch: {head}")
    assert people.mia.post(f"{path}/approve", json={"sha": head}).status_code == 201


def test_the_free_tier_answers_four_keys_and_has_no_rules(free: Tiered) -> None:
    people, path = free.people, free.opened(next(BRANCHES))
    before = people.mia.get(f"{path}/approvals").json()
    assert before == {"user_has_approved": False, "user_can_approve": True, "approved": False, "approved_by": []}
    for missing in (f"{path}/approval_state", f"{path}/approval_rules", f"{free.path}/approval_rules"):
        assert people.mia.get(missing).status_code == 404
    assert people.mia.get(f"{free.path}/approvals").status_code == 404
    assert people.mia.post(f"{path}/approve").json()["approved"] is True
    commit(
        people.dev, free.path, people.dev.get(path).json()["source_branch"], {f"{next(BRANCHES)}.txt": "x"}, start=None
    )
    assert people.mia.get(f"{path}/approvals").json()["approved"] is True


def test_without_rules_a_licensed_forge_calls_everything_approved(premium: Tiered) -> None:
    path = premium.opened(next(BRANCHES))
    answer = premium.people.mia.get(f"{path}/approvals").json()
    assert (answer["approved"], answer["approvals_required"], answer["approved_by"]) == (True, 0, [])


def test_publish_review_publishes_the_drafts_with_the_approval(any_tier: Tiered) -> None:
    people, path = any_tier.people, any_tier.opened(next(BRANCHES))
    people.mia.post(f"{path}/draft_notes", json={"note": "One thing"})
    assert people.mia.post(f"{path}/approve", json={"publish_review": True}).status_code == 201
    assert people.mia.get(f"{path}/draft_notes").json() == []
    assert "One thing" in [note["body"] for note in people.dev.get(f"{path}/notes").json()]


def test_only_bots_reset_approvals(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    made = people.mia.post(
        f"{premium.path}/access_tokens", json={"name": "bot", "scopes": ["api"], "access_level": 30}
    ).json()
    people.mia.post(f"{path}/approve")
    assert people.owen.put(f"{path}/reset_approvals").status_code == 401
    answer = people.nobody.put(f"{path}/reset_approvals", headers={"PRIVATE-TOKEN": made["token"]})
    assert (answer.status_code, answer.json()) == (202, {"message": "202 Accepted"})
    assert people.dev.get(f"{path}/approvals").json()["approved_by"] == []


# --- rules ---------------------------------------------------------------------------------------


def test_a_rule_of_the_merge_request_counts_its_own_approvers(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    made = people.dev.post(f"{path}/approval_rules", json=RULE | {"user_ids": [premium.ids["mia"]]})
    assert made.status_code == 201
    assert [user["username"] for user in made.json()["eligible_approvers"]] == ["mia"]
    assert premium.status(path) == "not_approved"
    assert people.mia.put(f"{path}/merge").status_code == 405
    people.owen.post(f"{path}/approve")
    assert premium.status(path) == "not_approved"
    state = people.dev.get(f"{path}/approval_state").json()
    assert state["approval_rules_overwritten"] is True
    assert [(rule["name"], rule["approved"], rule["approved_by"]) for rule in state["rules"]] == [
        ("Two eyes", False, [])
    ]
    answer = people.mia.post(f"{path}/approve").json()
    assert (answer["approvals_required"], answer["approvals_left"], answer["approved"]) == (1, 0, True)
    assert premium.status(path) == "mergeable"


def test_any_approver_counts_every_approval(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    rule = {"name": "All", "rule_type": "any_approver", "approvals_required": 2}
    assert people.dev.post(f"{path}/approval_rules", json=rule).status_code == 201
    again = people.dev.post(f"{path}/approval_rules", json=rule)
    assert again.status_code == 400
    people.mia.post(f"{path}/approve")
    assert people.dev.get(f"{path}/approvals").json()["approvals_left"] == 1
    people.owen.post(f"{path}/approve")
    assert premium.status(path) == "mergeable"


def test_a_rule_that_names_fewer_than_it_requires_counts_everybody(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    rule = {"name": "Two of one", "approvals_required": 2, "usernames": ["mia"]}
    people.dev.post(f"{path}/approval_rules", json=rule)
    people.mia.post(f"{path}/approve")
    assert premium.status(path) == "not_approved"
    people.owen.post(f"{path}/approve")
    assert premium.status(path) == "mergeable"


def test_a_reporter_approves_where_a_rule_names_them(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    people.dev.post(f"{path}/approval_rules", json=RULE | {"user_ids": [premium.ids["rita"]]})
    assert people.rita.post(f"{path}/approve").status_code == 201
    assert premium.status(path) == "mergeable"


def test_a_projects_rule_holds_until_a_merge_request_overrides_it(premium: Tiered, settings: str) -> None:
    people = premium.people
    rules = f"{premium.path}/approval_rules"
    assert people.dev.post(rules, json=RULE).status_code == 403
    rule = people.mia.post(rules, json=RULE | {"user_ids": [premium.ids["owen"]]}).json()
    try:
        path = premium.opened(next(BRANCHES))
        assert premium.status(path) == "not_approved"
        own = RULE | {"approvals_required": 0, "approval_project_rule_id": rule["id"]}
        people.dev.post(f"{path}/approval_rules", json=own)
        assert premium.status(path) == "mergeable"
        people.mia.post(settings, json={"disable_overriding_approvers_per_merge_request": True})
        assert premium.status(path) == "not_approved"
        assert people.dev.post(f"{path}/approval_rules", json=own).status_code == 403
        people.owen.post(f"{path}/approve")
        assert premium.status(path) == "mergeable"
    finally:
        assert people.mia.delete(f"{rules}/{rule['id']}").status_code == 204
    assert people.mia.get(f"{rules}/{rule['id']}").status_code == 404


def test_a_rule_is_changed_and_refused_where_it_makes_no_sense(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES))
    rule = people.dev.post(f"{path}/approval_rules", json=RULE | {"usernames": ["mia", "owen"]}).json()
    one = f"{path}/approval_rules/{rule['id']}"
    changed = people.dev.put(one, json={"name": "Owner", "user_ids": [premium.ids["owen"]]}).json()
    assert (changed["name"], [user["username"] for user in changed["users"]]) == ("Owner", ["owen"])
    for wrong in ({"name": "x"}, {"approvals_required": 1}, RULE | {"approvals_required": 101}):
        assert people.dev.post(f"{path}/approval_rules", json=wrong).status_code == 400
    assert people.dev.post(f"{path}/approval_rules", json=RULE | {"approvals_required": -1}).status_code == 400
    assert people.rita.post(f"{path}/approval_rules", json=RULE).status_code == 403
    assert people.rita.get(f"{path}/approval_rules").json()[0]["id"] == rule["id"]
    assert people.dev.delete(one).status_code == 204
    assert people.dev.get(f"{path}/approval_rules").json() == []


def test_authors_approve_where_the_project_lets_them_and_committers_may_be_barred(
    premium: Tiered, settings: str
) -> None:
    people = premium.people
    path = premium.opened(next(BRANCHES))
    assert people.dev.post(settings, json={"merge_requests_author_approval": True}).status_code == 403
    assert people.mia.post(settings, json={"merge_requests_author_approval": True}).status_code == 201
    assert people.dev.post(f"{path}/approve").status_code == 201
    people.mia.post(settings, json={"merge_requests_disable_committers_approval": True})
    branch = next(BRANCHES)
    commit(people.owen, premium.path, branch, {f"{branch}.md": "by owen"})
    row = people.dev.post(
        f"{premium.path}/merge_requests", json={"source_branch": branch, "target_branch": "main", "title": "Committed"}
    ).json()
    other = f"{premium.path}/merge_requests/{row['iid']}"
    assert people.owen.post(f"{other}/approve").status_code == 401
    assert people.mia.post(f"{other}/approve").status_code == 201


# --- pushes --------------------------------------------------------------------------------------


def test_a_push_takes_approvals_away_and_leaves_a_request_for_changes(premium: Tiered) -> None:
    people, branch = premium.people, next(BRANCHES)
    path = premium.opened(branch, "mia", "owen")
    people.mia.post(f"{path}/approve")
    people.owen.post(f"{path}/notes", json={"body": "/request_changes"})
    commit(people.dev, premium.path, branch, {f"more-{branch}.txt": "x"}, start=None)
    assert people.dev.get(f"{path}/approvals").json()["approved_by"] == []
    assert premium.states(path) == {"mia": "unapproved", "owen": "requested_changes"}
    assert premium.status(path) == "requested_changes"


def test_a_project_may_keep_approvals_over_a_push(premium: Tiered, settings: str) -> None:
    people, branch = premium.people, next(BRANCHES)
    people.mia.post(settings, json={"reset_approvals_on_push": False})
    path = premium.opened(branch, "mia")
    people.mia.post(f"{path}/approve")
    commit(people.dev, premium.path, branch, {f"more-{branch}.txt": "x"}, start=None)
    assert premium.states(path) == {"mia": "approved"}


def test_a_pure_rebase_keeps_approvals_and_one_with_a_change_does_not(premium: Tiered, tmp_path: Any) -> None:
    people, branch = premium.people, next(BRANCHES)
    path = premium.opened(branch, "mia")
    people.mia.post(f"{path}/approve")
    commit(people.mia, premium.path, "main", {f"other-{branch}.txt": "x"}, start=None)
    git(tmp_path, "clone", "-q", premium.world.remote("dev"), "clone")
    clone = tmp_path / "clone"
    git(clone, "checkout", "-q", branch)
    git(clone, "rebase", "-q", "origin/main")
    git(clone, "push", "-q", "--force", "origin", branch)
    assert people.dev.get(path).json()["sha"] == git(clone, "rev-parse", "HEAD").stdout.strip()
    assert premium.states(path) == {"mia": "approved"}
    (clone / f"{branch}.txt").write_text("other\n")
    git(clone, "commit", "-q", "-a", "--amend", "-m", "Other")
    git(clone, "push", "-q", "--force", "origin", branch)
    assert premium.states(path) == {"mia": "unapproved"}


# --- requests for changes ------------------------------------------------------------------------


def test_a_request_for_changes_ends_with_that_users_approval_alone(any_tier: Tiered) -> None:
    people, path = any_tier.people, any_tier.opened(next(BRANCHES), "mia")
    licensed = any_tier.world.forge.settings.tier != "free"
    people.mia.post(f"{path}/approve")
    assert people.mia.post(f"{path}/notes", json={"body": "/request_changes"}).status_code == 202
    assert people.dev.get(f"{path}/approvals").json()["approved_by"] == []
    assert any_tier.states(path) == {"mia": "requested_changes"}
    assert any_tier.status(path) == ("requested_changes" if licensed else "mergeable")
    people.owen.post(f"{path}/approve")
    assert any_tier.status(path) == ("requested_changes" if licensed else "mergeable")
    if licensed:
        assert people.owen.put(f"{path}/merge").status_code == 405
    people.mia.post(f"{path}/approve")
    assert any_tier.status(path) == "mergeable"
    assert any_tier.said(path).count("requested changes") == 1


def test_a_request_outlives_its_reviewer(premium: Tiered) -> None:
    people, path = premium.people, premium.opened(next(BRANCHES), "mia")
    people.mia.post(f"{path}/notes", json={"body": "/request_changes"})
    people.dev.put(path, json={"reviewer_ids": []})
    assert premium.states(path) == {}
    assert premium.status(path) == "requested_changes"
    people.mia.post(f"{path}/approve")
    assert premium.status(path) == "mergeable"


def test_the_free_tier_keeps_one_reviewer(free: Tiered) -> None:
    path = free.opened(next(BRANCHES), "mia", "owen")
    assert free.states(path) == {"mia": "unreviewed"}


def test_reviewers_are_asked_by_name_in_a_note_of_the_forge(premium: Tiered) -> None:
    row = open_merge_request(premium.people.dev, premium.path, next(BRANCHES))
    path = f"{premium.path}/merge_requests/{row['iid']}"
    ids = [premium.ids["mia"], premium.ids["owen"]]
    shown = premium.people.dev.put(path, json={"reviewer_ids": ids}).json()
    assert [user["username"] for user in shown["reviewers"]] == ["mia", "owen"]
    assert premium.said(path) == ["requested review from @mia and @owen"]
    premium.people.dev.put(path, json={"reviewer_ids": [premium.ids["owen"]]})
    assert premium.said(path)[0] == "removed review request for @mia"


def test_who_cannot_read_the_code_is_no_reviewer(premium: Tiered) -> None:
    assert premium.states(premium.opened(next(BRANCHES), "eve", "gus", "rita")) == {"rita": "unreviewed"}


def test_python_gitlab_drives_it(premium: Tiered) -> None:
    branch = next(BRANCHES)
    path = premium.opened(branch)
    with gitlab.Gitlab(premium.world.forge.url, private_token=premium.world.tokens["mia"]) as client:
        project = client.projects.get("acme/shop")
        row = project.mergerequests.get(path.rpartition("/")[2])
        rule = row.approval_rules.create(RULE)
        assert [one.id for one in row.approval_rules.list(get_all=True)] == [rule.id]
        row.approve(sha=row.sha)
        assert [one["user"]["username"] for one in row.approvals.get().approved_by] == ["mia"]
        assert row.approval_state.get().rules[0]["approved"] is True
        row.unapprove()
        rule.delete()
        assert project.approvals.get().reset_approvals_on_push is True
