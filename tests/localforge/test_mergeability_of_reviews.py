"""What of a review holds a merge, on which tier, and what lets it go: R38 as a table."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.localforge.conftest import PROJECT, OnTier, Tiered, commit

BRANCHES = (f"gates-{number}" for number in itertools.count())
Step = Callable[[Tiered, str], object]
SWITCHES: dict[str, Any] = {
    "only_allow_merge_if_pipeline_succeeds": False,
    "only_allow_merge_if_all_discussions_are_resolved": False,
    "only_allow_merge_if_all_status_checks_passed": False,
}


def head(tiered: Tiered, path: str) -> str:
    return str(tiered.people.dev.get(path).json()["sha"])


def switch(name: str) -> Step:
    return lambda tiered, path: tiered.people.mia.put(tiered.path, json={name: True})


def status(state: str) -> Step:
    """Post a commit status, as a review does that has no other means."""

    def post(tiered: Tiered, path: str) -> None:
        body = {"state": state, "name": "review"}
        answer = tiered.people.dev.post(f"{tiered.path}/statuses/{head(tiered, path)}", json=body)
        assert answer.status_code in {200, 201}

    return post


def note(who: str, body: str) -> Step:
    return lambda tiered, path: getattr(tiered.people, who).post(f"{path}/notes", json={"body": body})


def thread(tiered: Tiered, path: str) -> None:
    assert tiered.people.mia.post(f"{path}/discussions", json={"body": "Why?"}).status_code == 201


def resolve(tiered: Tiered, path: str) -> None:
    for row in tiered.people.dev.get(f"{path}/discussions").json():
        if row["notes"][0]["resolvable"]:
            tiered.people.dev.put(f"{path}/discussions/{row['id']}", params={"resolved": True})


def rule(tiered: Tiered, path: str) -> None:
    named = {"name": "The reviewer", "approvals_required": 1, "user_ids": [tiered.ids["mia"]]}
    tiered.people.dev.post(f"{path}/approval_rules", json=named)


def approve(who: str) -> Step:
    return lambda tiered, path: getattr(tiered.people, who).post(f"{path}/approve")


def check(tiered: Tiered, path: str) -> None:
    made = {"name": "gate", "external_url": "http://127.0.0.1:9/x"}
    tiered.people.mia.post(f"{tiered.path}/external_status_checks", json=made)
    switch("only_allow_merge_if_all_status_checks_passed")(tiered, path)


def answer(state: str) -> Step:
    def post(tiered: Tiered, path: str) -> None:
        for row in tiered.people.dev.get(f"{path}/status_checks").json() if tiered.name == "ultimate" else []:
            body = {"sha": head(tiered, path), "external_status_check_id": row["id"], "status": state}
            assert tiered.people.dev.post(f"{path}/status_check_responses", json=body).status_code == 201

    return post


def bypass(tiered: Tiered, path: str) -> None:
    given = f'projectPath: "{PROJECT}", iid: "{path.rpartition("/")[2]}", overrideRequestedChanges: true'
    tiered.graphql(tiered.people.mia, f"mutation {{ mergeRequestUpdate(input: {{{given}}}) {{ errors }} }}")


def push(tiered: Tiered, path: str) -> None:
    branch = tiered.people.dev.get(path).json()["source_branch"]
    commit(tiered.people.dev, tiered.path, branch, {f"{next(BRANCHES)}.md": "x"}, start=None)


def drop_reviewers(tiered: Tiered, path: str) -> None:
    tiered.people.dev.put(path, json={"reviewer_ids": []})


def nothing(tiered: Tiered, path: str) -> None:
    """Do nothing."""


OPEN = "mergeable"
PIPELINE = switch("only_allow_merge_if_pipeline_succeeds")
REQUEST = note("mia", "/request_changes")
# What is done in order, and the status after it on the free, the premium and the ultimate tier.
TABLE: dict[str, tuple[tuple[Step, ...], tuple[str, str, str]]] = {
    "nothing": ((nothing,), (OPEN, OPEN, OPEN)),
    "a failed status without the gate": ((status("failed"),), (OPEN,) * 3),
    "a failed status": ((PIPELINE, status("failed")), ("ci_must_pass",) * 3),
    "a pending status": ((PIPELINE, status("running")), ("ci_still_running",) * 3),
    "no status at all": ((PIPELINE,), ("ci_must_pass",) * 3),
    "a passed status": ((PIPELINE, status("failed"), status("success")), (OPEN,) * 3),
    "a status of an older commit": ((PIPELINE, status("success"), push), ("ci_must_pass",) * 3),
    "an open thread without the gate": ((thread,), (OPEN,) * 3),
    "an open thread": (
        (switch("only_allow_merge_if_all_discussions_are_resolved"), thread),
        ("discussions_not_resolved",) * 3,
    ),
    "a resolved thread": ((switch("only_allow_merge_if_all_discussions_are_resolved"), thread, resolve), (OPEN,) * 3),
    "a request for changes": ((REQUEST,), (OPEN, "requested_changes", "requested_changes")),
    "a request, then a push": ((REQUEST, push), (OPEN, "requested_changes", "requested_changes")),
    "a request, then its reviewer is dropped": (
        (REQUEST, drop_reviewers),
        (OPEN, "requested_changes", "requested_changes"),
    ),
    "a request, then somebody else approves": (
        (REQUEST, approve("owen")),
        (OPEN, "requested_changes", "requested_changes"),
    ),
    "a request, then its author approves": ((REQUEST, approve("mia")), (OPEN,) * 3),
    "a request that is bypassed": ((REQUEST, bypass), (OPEN,) * 3),
    "a rule that nobody has met": ((rule,), (OPEN, "not_approved", "not_approved")),
    "a rule that somebody else approved": ((rule, approve("owen")), (OPEN, "not_approved", "not_approved")),
    "a rule that is met": ((rule, approve("mia")), (OPEN,) * 3),
    "a rule that was met before a push": ((rule, approve("mia"), push), (OPEN, "not_approved", "not_approved")),
    "a request comes before a rule": ((rule, REQUEST), (OPEN, "requested_changes", "requested_changes")),
    "a rule and a bypassed request": ((rule, REQUEST, bypass), (OPEN, "not_approved", "not_approved")),
    "a status check that waits": ((check,), (OPEN, OPEN, "status_checks_must_pass")),
    "a status check that failed": ((check, answer("failed")), (OPEN, OPEN, "status_checks_must_pass")),
    "a status check that passed": ((check, answer("passed")), (OPEN,) * 3),
    "a rule comes before a status check": ((check, rule), (OPEN, "not_approved", "not_approved")),
    "a draft comes before all": ((rule, REQUEST, check, note("dev", "/draft")), ("draft_status",) * 3),
    "a pipeline comes last": ((PIPELINE, status("failed"), REQUEST), ("ci_must_pass",) + ("requested_changes",) * 2),
}
CASES = [(tier, case) for case in TABLE for tier in ("free", "premium", "ultimate")]


@pytest.fixture
def clean(on_tier: OnTier) -> Iterator[OnTier]:
    """Forges whose projects have no gates, before and after."""
    used: list[Tiered] = []

    def of(tier: str) -> Tiered:
        used.append(tiered := on_tier(tier))
        return tiered

    yield of
    for tiered in used:
        tiered.people.mia.put(tiered.path, json=SWITCHES)
        if tiered.name == "ultimate":
            for row in tiered.people.mia.get(f"{tiered.path}/external_status_checks").json():
                tiered.people.mia.delete(f"{tiered.path}/external_status_checks/{row['id']}")


@pytest.mark.parametrize(("tier", "case"), CASES, ids=[f"{case} ({tier})" for tier, case in CASES])
def test_r38_what_holds_a_merge(clean: OnTier, tier: str, case: str) -> None:
    tiered, (steps, after) = clean(tier), TABLE[case]
    path = tiered.opened(next(BRANCHES), "mia")
    for step in steps:
        step(tiered, path)
    wanted = after[("free", "premium", "ultimate").index(tier)]
    assert tiered.status(path) == wanted
    merged = tiered.people.owen.put(f"{path}/merge", json={"sha": head(tiered, path)})
    assert merged.status_code == (200 if wanted == OPEN else 405), merged.text
    assert tiered.people.dev.get(path).json()["state"] == ("merged" if wanted == OPEN else "opened")
