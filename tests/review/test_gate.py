"""What an approval is worth, on each tier: a table of who enforces what."""

import pytest

from mergewright.domain.approval import ApprovalRule, Approvals, Gates, StatusCheck
from mergewright.domain.forge import User
from mergewright.domain.review import ReviewerStatus
from mergewright.review.gate import GateAction, gate
from tests.review.conftest import Open
from tests.review.stage import claim, policy

BOT, ANN, BOB = User(9, "reviewer", "R", bot=True), User(1, "ann", "Ann"), User(2, "bob", "Bob")
FREE = Gates(native=False, pipelines_must_succeed=True)
PREMIUM = Gates(native=True)
ULTIMATE = Gates(native=True, status_checks=(StatusCheck(4, "mergewright", "https://x"),), status_checks_must_pass=True)
ANYBODY = ApprovalRule("All", "any_approver", 1)
NAMED = ApprovalRule("Robot", "regular", 1, users=("reviewer",))


def action(
    worth: str = "not_counted",
    status: ReviewerStatus = ReviewerStatus.APPROVED,
    gates: Gates = PREMIUM,
    rules: tuple[ApprovalRule, ...] = (),
    approved: tuple[User, ...] = (),
    **values: object,
) -> GateAction:
    from mergewright.domain.policy import Approval

    given = policy(approval=Approval(worth), **values)
    return gate(given, status, gates, Approvals(approved, rules), reviewer="reviewer", author="ann")


@pytest.mark.parametrize("status", list(ReviewerStatus))
def test_r18_an_advisory_review_makes_no_call_whatever_it_says(status: ReviewerStatus) -> None:
    done = action("advisory", status)
    assert (done.native, done.state) == ("none", None)


@pytest.mark.parametrize("gates", [FREE, PREMIUM, ULTIMATE])
def test_r15_an_approval_that_counts_is_given_to_any_rule(gates: Gates) -> None:
    done = action("counts", gates=gates, rules=(ANYBODY,))
    assert (done.native, done.state) == ("approve", "success")


def test_r17_an_approval_that_is_not_counted_is_kept_from_generic_rules_and_clears_the_request() -> None:
    assert action("not_counted", rules=(ANYBODY,)).native == "clear_request"
    assert action("not_counted").native == "clear_request"


@pytest.mark.parametrize("worth", ["not_counted", "counts", "required"])
def test_r19_a_rule_that_names_the_reviewer_gets_its_approval(worth: str) -> None:
    assert action(worth, rules=(NAMED,)).native == "approve"


def test_r19_where_a_generic_rule_would_take_that_approval_too_the_gate_waits_for_people() -> None:
    assert action(rules=(NAMED, ANYBODY)).state == "pending"
    met = ApprovalRule("All", "any_approver", 1, approved_by=("reviewer", "bob"))
    assert action(rules=(NAMED, met)).state == "success"


def test_r16_a_required_approval_takes_a_person_beside_it() -> None:
    assert action("required").state == "pending"
    assert action("required", approved=(BOT,)).state == "pending"
    assert action("required", approved=(BOT, ANN)).state == "pending", "the author does not count"
    assert action("required", approved=(BOT, BOB)).state == "success"


@pytest.mark.parametrize(
    ("worth", "state"), [("counts", "success"), ("not_counted", "success"), ("required", "pending")]
)
def test_r23_a_missing_approval_blocks_only_where_it_is_required(worth: str, state: str) -> None:
    assert action(worth, ReviewerStatus.COMMENTED).state == state
    assert action(worth, ReviewerStatus.NONE).state == state


@pytest.mark.parametrize(
    ("worth", "on_failure", "state"),
    [
        ("counts", "open", "success"),
        ("counts", "closed", "failed"),
        ("required", "open", "failed"),
        ("required", "closed", "failed"),
    ],
)
def test_r23_a_failed_review_blocks_only_where_the_policy_says_so(worth: str, on_failure: str, state: str) -> None:
    done = action(worth, ReviewerStatus.FAILED, on_failure=on_failure)
    assert (done.native, done.state) == ("none", state)


@pytest.mark.parametrize("gates", [FREE, PREMIUM, ULTIMATE])
def test_r26_an_override_lifts_the_block_and_approves_nothing(gates: Gates) -> None:
    done = action("required", ReviewerStatus.OVERRIDDEN, gates=gates)
    assert (done.native, done.state) == ("clear_request", "success")


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        (PREMIUM, "until the request for changes is withdrawn"),
        (FREE, "by the commit status `mergewright`"),
        (Gates(native=False), 'turn on "Pipelines must succeed"'),
        (ULTIMATE, "until the request for changes is withdrawn"),
    ],
)
def test_r38_no_block_is_claimed_that_the_forge_does_not_enforce(gates: Gates, said: str) -> None:
    done = action(status=ReviewerStatus.CHANGES_REQUESTED, gates=gates)
    assert said in done.enforced
    assert (done.native, done.state) == ("request_changes", "failed")


def test_r38_a_status_check_is_used_where_there_is_one() -> None:
    assert action("required", gates=ULTIMATE).check is not None
    assert "external status check `mergewright`" in action("required", gates=ULTIMATE).enforced
    loose = Gates(native=True, status_checks=ULTIMATE.status_checks)
    assert 'turn on "Status checks must succeed"' in action("required", gates=loose).enforced


@pytest.mark.parametrize(
    ("tier", "blocked"), [("free", "ci_must_pass"), ("premium", "requested_changes"), ("ultimate", "requested_changes")]
)
async def test_r38_changes_requested_block_a_merge_on_every_tier(open_review: Open, tier: str, blocked: str) -> None:
    stage = open_review(claim(), tier=tier)
    stage.api("PUT", "", only_allow_merge_if_pipeline_succeeds=tier == "free")
    await stage.review()
    assert stage.merge_request()["detailed_merge_status"] == blocked
    assert "The forge blocks the merge" in stage.summaries()[0]


async def test_r38_on_ultimate_the_status_check_carries_a_required_approval(open_review: Open) -> None:
    stage = open_review(tier="ultimate")
    stage.api("POST", "/external_status_checks", name="mergewright", external_url="https://review.example.com")
    stage.api("PUT", "", only_allow_merge_if_all_status_checks_passed=True)
    await stage.policy(approval="required")
    await stage.review()
    assert stage.merge_request()["detailed_merge_status"] == "status_checks_must_pass"
    assert "external status check" in stage.summaries()[0]


async def test_r38_on_free_without_the_setting_the_summary_claims_nothing(open_review: Open) -> None:
    stage = open_review(claim(), tier="free")
    await stage.review()
    assert stage.merge_request()["detailed_merge_status"] == "mergeable"
    assert "this forge enforces nothing of it" in stage.summaries()[0]


async def test_r20_another_worth_of_the_approval_takes_no_edit_of_a_rule(open_review: Open) -> None:
    stage = open_review()
    stage.api("POST", "/approval_rules", name="All", rule_type="any_approver", approvals_required=1)
    await stage.review()
    assert stage.merge_request()["detailed_merge_status"] == "not_approved"
    await stage.policy(approval="counts")
    await stage.review()
    assert stage.merge_request()["detailed_merge_status"] == "mergeable"
    (rule,) = stage.api("GET", "/approval_rules")
    assert (rule["name"], rule["approvals_required"]) == ("All", 1)


async def test_r21_an_approval_is_bound_to_the_reviewed_commit(open_review: Open) -> None:
    stage = open_review()
    await stage.policy(approval="counts")
    await stage.review()
    assert [one["user"]["username"] for one in stage.api("GET", "/merge_requests/1/approvals")["approved_by"]] == [
        "reviewer"
    ]
    stage.push({"shop/price.py": "def total(prices):\n    return 0\n"})
    assert stage.api("GET", "/merge_requests/1/approvals")["approved_by"] == []
