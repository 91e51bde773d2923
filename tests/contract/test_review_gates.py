"""Approvals, requests for changes, and what a forge enforces, on each tier."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest

from mergewright.domain.errors import Conflict, Forbidden, ForgeError, NotFound, Unauthorized, Unreachable
from mergewright.gitlab.reviewing import GitLabReviewForge
from tests.contract.place import REAL, Change, Place

if TYPE_CHECKING:
    from tests.contract.conftest import Way

Open = Callable[..., GitLabReviewForge]
State = Literal["failed", "success"]
MAINTAINER = 40

free_alone = pytest.mark.parametrize("tiered", ["free", *REAL], indirect=True, scope="session")
premium_alone = pytest.mark.parametrize("tiered", ["premium"], indirect=True, scope="session")
ultimate_alone = pytest.mark.parametrize("tiered", ["ultimate"], indirect=True, scope="session")


# --- approvals ---------------------------------------------------------------------------------


async def test_an_approval_is_given_once_and_taken_back(reviewer: GitLabReviewForge, change: Change) -> None:
    sha, me = change.api("GET")["sha"], change.place.reviewer
    for _ in range(2):
        await reviewer.approve(*change.where, sha=sha)
        assert [user.username for user in (await reviewer.approvals(*change.where)).approved_by] == [me]
    for _ in range(2):
        await reviewer.unapprove(*change.where)
        assert (await reviewer.approvals(*change.where)).approved_by == ()


@free_alone
async def test_r21_a_head_that_moved_is_not_approved(reviewer: GitLabReviewForge, change: Change) -> None:
    sha = change.api("GET")["sha"]
    change.push()
    with pytest.raises(Conflict):
        await reviewer.approve(*change.where, sha=sha)
    assert (await reviewer.approvals(*change.where)).approved_by == ()


@free_alone
async def test_an_author_may_not_approve_though_the_token_is_good(
    open_forge: Open, place: Place, change: Change
) -> None:
    author = open_forge(place.site.url, place.site.token)
    with pytest.raises(Forbidden) as refusal:
        await author.approve(*change.where, sha=change.api("GET")["sha"])
    assert "may not approve" in refusal.value.message
    assert refusal.value.hint


@free_alone
async def test_a_token_that_is_unknown_is_unauthorized_in_both_languages(
    open_forge: Open, place: Place, change: Change
) -> None:
    nobody = open_forge(place.site.url, "glpat-nobody-ever-made-this")
    with pytest.raises(Unauthorized):
        await nobody.approve(*change.where, sha="0" * 40)
    with pytest.raises(Unauthorized):
        await nobody.request_changes(*change.where)


async def test_rules_are_told_where_the_forge_has_any(
    reviewer: GitLabReviewForge, place: Place, change: Change
) -> None:
    if place.site.tier == "free":
        assert (await reviewer.approvals(*change.where)).rules == ()
        return
    change.api("POST", "/approval_rules", name="Reviewer", approvals_required=1, user_ids=[place.reviewer_id])
    (before,) = [rule for rule in (await reviewer.approvals(*change.where)).rules if rule.name == "Reviewer"]
    assert (before.approvals_required, before.users, before.approved) == (1, (place.reviewer,), False)
    assert change.merge_status() == "not_approved"
    await reviewer.approve(*change.where, sha=change.api("GET")["sha"])
    (after,) = [rule for rule in (await reviewer.approvals(*change.where)).rules if rule.name == "Reviewer"]
    assert (after.approved_by, after.approved) == ((place.reviewer,), True)


async def test_what_gates_saw_is_not_taken_for_what_came_after(reviewer: GitLabReviewForge, change: Change) -> None:
    await reviewer.gates(*change.where)
    await reviewer.approve(*change.where, sha=change.api("GET")["sha"])
    assert len((await reviewer.approvals(*change.where)).approved_by) == 1


# --- requests for changes ----------------------------------------------------------------------


async def test_a_request_for_changes_is_made_and_taken_back(
    reviewer: GitLabReviewForge, place: Place, change: Change
) -> None:
    change.add_reviewer()
    await reviewer.approve(*change.where, sha=change.api("GET")["sha"])
    for _ in range(2):
        await reviewer.request_changes(*change.where)
        assert change.reviewer_state() == "requested_changes"
    assert (await reviewer.approvals(*change.where)).approved_by == ()
    blocked = place.site.tier != "free"
    assert (change.merge_status() == "requested_changes") == blocked
    for _ in range(2):
        # Without a licence there is nothing to take back: the next review says where the reviewer stands.
        await reviewer.clear_request(*change.where)
        assert change.merge_status() != "requested_changes"
        assert change.reviewer_state() == ("reviewed" if blocked else "requested_changes")


@free_alone
async def test_who_is_no_reviewer_cannot_request_changes_before_they_are_asked(
    reviewer: GitLabReviewForge, place: Place, change: Change
) -> None:
    with pytest.raises(NotFound):
        await reviewer.request_changes(*change.where)
    for _ in range(2):
        await reviewer.ask_reviewer(*change.where, place.reviewer)
    assert [one.state for one in await reviewer.reviewers(*change.where)] == ["unreviewed"]
    assert [user.username for user in (await reviewer.merge_request(*change.where)).reviewers] == [place.reviewer]
    await reviewer.request_changes(*change.where)


@free_alone
async def test_a_reviewer_is_asked_again(open_forge: Open, place: Place, change: Change) -> None:
    change.add_reviewer()
    await open_forge(place.site.url, place.reviewer_token).request_changes(*change.where)
    author = open_forge(place.site.url, place.site.token)
    (before,) = await author.reviewers(*change.where)
    assert before.state == "requested_changes"
    await author.ask_again(*change.where, before.user)
    (after,) = await author.reviewers(*change.where)
    assert (after.user, after.state) == (before.user, "unreviewed")


@free_alone
async def test_a_stranger_is_refused_by_graphql_as_by_rest(open_forge: Open, place: Place, change: Change) -> None:
    _, token = place.site.stranger()
    stranger = open_forge(place.site.url, token)
    with pytest.raises(Forbidden):
        await stranger.request_changes(*change.where)
    with pytest.raises(NotFound):
        await stranger.approvals(*change.where)


@free_alone
async def test_a_lost_answer_of_graphql_is_asked_for_again(
    open_forge: Open, place: Place, change: Change, review_way: "Way"
) -> None:
    change.add_reviewer()
    review_way.loses_answer("POST")
    await open_forge(review_way.url, place.reviewer_token).request_changes(*change.where)
    assert change.reviewer_state() == "requested_changes"


# --- what the forge enforces -------------------------------------------------------------------


async def test_gates_are_what_the_forge_says_of_itself(
    reviewer: GitLabReviewForge, place: Place, change: Change
) -> None:
    gates = await reviewer.gates(*change.where)
    assert gates.native == (place.site.tier in {"premium", "ultimate"})
    assert gates.status_checks == ()
    assert not gates.status_checks_must_pass
    assert not gates.pipelines_must_succeed
    assert not gates.discussions_must_be_resolved


@free_alone
async def test_gates_follow_the_projects_switches(open_forge: Open, place: Place, change: Change) -> None:
    for on in (True, False):
        pipelines, threads = "only_allow_merge_if_pipeline_succeeds", "only_allow_merge_if_all_discussions_are_resolved"
        switches: dict[str, Any] = {pipelines: on, threads: on}
        place.api("PUT", "", **switches)
        gates = await open_forge(place.site.url, place.reviewer_token).gates(*change.where)
        assert (gates.pipelines_must_succeed, gates.discussions_must_be_resolved) == (on, on)


@ultimate_alone
async def test_an_external_status_check_is_found_and_answered(open_forge: Open, place: Place, change: Change) -> None:
    made = place.api("POST", "/external_status_checks", name="mergewright", external_url="http://127.0.0.1:9/check")
    place.api("PUT", "", only_allow_merge_if_all_status_checks_passed=True)
    reviewer, sha = open_forge(place.site.url, place.reviewer_token), change.api("GET")["sha"]
    try:
        outcomes: list[tuple[Literal["failed", "passed"], str]] = [
            ("failed", "status_checks_must_pass"),
            ("passed", "mergeable"),
        ]
        for status, merge in outcomes:
            await reviewer.answer_status_check(*change.where, made["id"], sha=sha, status=status)
            gates = await reviewer.gates(*change.where)
            assert [(one.name, one.status) for one in gates.status_checks] == [("mergewright", status)]
            assert gates.status_checks_must_pass
            assert change.merge_status() == merge
        change.push()
        with pytest.raises(Conflict):
            await reviewer.answer_status_check(*change.where, made["id"], sha=sha, status="passed")
    finally:
        place.api("PUT", "", only_allow_merge_if_all_status_checks_passed=False)
        place.api("DELETE", f"/external_status_checks/{made['id']}")


# --- commit statuses ---------------------------------------------------------------------------


@free_alone
async def test_r38_a_failed_status_blocks_and_a_later_success_frees(
    reviewer: GitLabReviewForge, place: Place, change: Change
) -> None:
    place.api("PUT", "", only_allow_merge_if_pipeline_succeeds=True)
    sha = change.api("GET")["sha"]
    try:
        outcomes: list[tuple[State, str]] = [
            ("failed", "ci_must_pass"),
            ("failed", "ci_must_pass"),
            ("success", "mergeable"),
        ]
        for state, merge in outcomes:
            await reviewer.set_commit_status(
                place.project,
                sha,
                state=state,
                name="mergewright",
                description="As it is " * 60,
                ref=change.branch,
            )
            assert change.merge_status() == merge
    finally:
        place.api("PUT", "", only_allow_merge_if_pipeline_succeeds=False)
    (found,) = await reviewer.commit_statuses(place.project, sha)
    assert (found.name, found.status, found.author, found.sha) == ("mergewright", "success", place.reviewer, sha)
    assert len(found.description) <= 255


@free_alone
async def test_r38_a_status_hangs_on_the_pipeline_of_the_head(
    reviewer: GitLabReviewForge, place: Place, change: Change
) -> None:
    async def put(name: str, pipeline: int) -> None:
        sha = (await reviewer.merge_request(*change.where)).sha
        await reviewer.set_commit_status(
            place.project, sha, state="success", name=name, description="", ref=change.branch, pipeline_id=pipeline
        )

    assert (await reviewer.merge_request(*change.where)).head_pipeline == 0
    await put("first", 0)
    head = (await reviewer.merge_request(*change.where)).head_pipeline
    assert head
    await put("second", head)
    assert (await reviewer.merge_request(*change.where)).head_pipeline == head
    assert len(change.api("GET", "/pipelines")) == 1


@free_alone
async def test_a_status_tells_who_set_it(open_forge: Open, place: Place, change: Change) -> None:
    sha, (_, other) = change.api("GET")["sha"], place.site.member(place.project, MAINTAINER)
    for token in (place.reviewer_token, other):
        await open_forge(place.site.url, token).set_commit_status(
            place.project, sha, state="success", name=f"by {token[-4:]}", description="", ref=change.branch
        )
    authors = [one.author for one in await open_forge(place.site.url, other).commit_statuses(place.project, sha)]
    assert len(set(authors)) == 2
    assert place.reviewer in authors


@free_alone
async def test_a_status_is_tried_again_while_another_is_being_written(
    open_forge: Open, place: Place, change: Change, review_way: "Way", waits: list[float]
) -> None:
    review_way.refuses("POST", b'{"message":"409 Conflict"}', status=409, times=2)
    forge, sha = open_forge(review_way.url, place.reviewer_token), change.api("GET")["sha"]
    await forge.set_commit_status(place.project, sha, state="failed", name="mergewright", description="")
    assert len(waits) == 2
    assert [one.status for one in await forge.commit_statuses(place.project, sha)] == ["failed"]


@free_alone
@pytest.mark.parametrize("stands", ["failed", "success"])
async def test_a_status_that_the_forge_will_not_change_is_fine_only_where_it_stands(
    open_forge: Open, place: Place, change: Change, review_way: "Way", stands: State
) -> None:
    forge, sha = open_forge(review_way.url, place.reviewer_token), change.api("GET")["sha"]
    await forge.set_commit_status(place.project, sha, state=stands, name="mergewright", description="")
    review_way.refuses("POST", b'{"message":"Cannot transition status via :drop from :success"}')
    told = forge.set_commit_status(place.project, sha, state="failed", name="mergewright", description="")
    if stands == "failed":
        await told
        return
    with pytest.raises(ForgeError, match="Cannot transition"):
        await told


@free_alone
async def test_a_status_of_our_name_by_somebody_else_does_not_stand_for_ours(
    open_forge: Open, place: Place, change: Change, review_way: "Way"
) -> None:
    sha = change.api("GET")["sha"]
    place.api("POST", f"/statuses/{sha}", state="success", name="mergewright")
    review_way.refuses("POST", b'{"message":"Cannot transition status via :succeed from :success"}')
    forge = open_forge(review_way.url, place.reviewer_token)
    with pytest.raises(ForgeError, match="Cannot transition"):
        await forge.set_commit_status(place.project, sha, state="success", name="mergewright", description="")


# --- how much is asked -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tiered", "must_pass", "most"),
    [("free", False, 2), ("premium", False, 2), ("ultimate", False, 2), ("ultimate", True, 3)],
    indirect=["tiered"],
)
async def test_what_a_forge_enforces_is_asked_in_few_calls(
    open_forge: Open, place: Place, change: Change, review_way: "Way", most: int, *, must_pass: bool
) -> None:
    if must_pass:
        place.api("PUT", "", only_allow_merge_if_all_status_checks_passed=True)
    forge = open_forge(review_way.url, place.reviewer_token)
    await forge.gates(*change.where)
    await forge.approvals(*change.where)
    assert len(review_way.heard) == most
    if must_pass:
        place.api("PUT", "", only_allow_merge_if_all_status_checks_passed=False)


@premium_alone
async def test_rules_cost_one_call_more_where_there_are_any(
    open_forge: Open, place: Place, change: Change, review_way: "Way"
) -> None:
    change.api("POST", "/approval_rules", name="Ours", approvals_required=1, user_ids=[place.reviewer_id])
    forge = open_forge(review_way.url, place.reviewer_token)
    await forge.gates(*change.where)
    assert len((await forge.approvals(*change.where)).rules) == 1
    assert len(review_way.heard) == 3


@free_alone
async def test_a_brief_forge_asks_for_nothing_that_a_review_leaves_unread(
    open_forge: Open, place: Place, change: Change, review_way: "Way"
) -> None:
    forge = open_forge(review_way.url, place.reviewer_token)
    status = await forge.status()
    assert (status.user.username, status.scopes) == (place.reviewer, ())
    for _ in range(2):
        await forge.project(place.project)
        await forge.remote(place.project)
    await forge.merge_request(*change.where)
    await forge.discussions(change.subject)
    assert [line.partition("?")[0].rpartition("/")[2] for line in review_way.heard] == [
        "version",
        "user",
        place.project.replace("/", "%2F"),
        str(change.iid),
        "discussions",
    ]


@free_alone
async def test_a_forge_that_is_gone_is_unreachable_to_graphql_too(open_forge: Open, change: Change) -> None:
    with pytest.raises(Unreachable):
        await open_forge("http://127.0.0.1:9", "token", retries=0).request_changes(*change.where)
