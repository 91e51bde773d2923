"""The policy in force: where it comes from, and what can never be loosened."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergewright.domain.errors import WrongUse
from mergewright.domain.policy import Approval, Policy
from mergewright.domain.review import Severity
from mergewright.review.settings import check, resolve, tighter
from tests.review.conftest import Open
from tests.review.stage import CHANGE, claim

VALUES = st.fixed_dictionaries(
    {},
    optional={
        "request_changes": st.booleans(),
        "block_on": st.sampled_from([one.value for one in Severity]),
        "approval": st.sampled_from([one.value for one in Approval]),
        "override_role": st.sampled_from(["developer", "maintainer", "owner"]),
        "on_failure": st.sampled_from(["open", "closed"]),
        "auto_review": st.booleans(),
        "round_limit": st.integers(1, 100),
        "exclude": st.lists(st.sampled_from(["docs/**", "*.md", "vendor/**"]), max_size=3),
    },
)


def written(values: dict[str, Any]) -> bytes:
    import yaml

    return yaml.safe_dump(values).encode()


def test_r31_settings_cascade_from_the_organisation_to_the_project() -> None:
    found = resolve("a/b/c", {"": {"block_on": "major"}, "a": {"auto_review": False}, "a/b/c": {"block_on": "blocker"}})
    assert (found.policy.block_on, found.policy.auto_review) == (Severity.BLOCKER, False)
    assert (found.sources["block_on"], found.sources["auto_review"], found.sources["exclude"]) == (
        "a/b/c",
        "a",
        "default",
    )


def test_r31_what_an_upper_level_locks_a_lower_one_may_only_tighten() -> None:
    upper = {"block_on": "major", "locked": ["block_on"]}
    loose = resolve("a/b", {"": upper, "a/b": {"block_on": "blocker"}})
    assert loose.policy.block_on is Severity.MAJOR
    assert "looser than organisation allows" in loose.problems[0]
    tight = resolve("a/b", {"": upper, "a/b": {"block_on": "minor"}})
    assert (tight.policy.block_on, tight.problems) == (Severity.MINOR, ())


@given(VALUES, VALUES)
def test_r32_a_file_in_the_repository_never_loosens_anything(server: dict[str, Any], file: dict[str, Any]) -> None:
    before = resolve("a/b", {"a/b": server}).policy
    after = resolve("a/b", {"a/b": server}, written(file)).policy
    assert all(tighter(name, getattr(before, name), getattr(after, name)) for name in Policy.__dataclass_fields__)


@given(VALUES, VALUES)
def test_r31_no_lower_level_loosens_what_is_locked(upper: dict[str, Any], lower: dict[str, Any]) -> None:
    locked = {**upper, "locked": sorted(upper)}
    before, after = resolve("a/b", {"": locked}).policy, resolve("a/b", {"": locked, "a/b": lower}).policy
    assert all(tighter(name, getattr(before, name), getattr(after, name)) for name in upper)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"block_on: silly", "`block_on` is `silly`"),
        (b"- a", "no mapping"),
        (b"unknown: 1", "no policy `unknown`"),
        (b"\xff\xfe", "cannot be read"),
        (b"a: [", "cannot be read"),
        (b"analyzers: {model: rm}", "may be called `model`"),
        (b"x" * 300_000, "cannot be read"),
    ],
)
def test_r32_a_file_with_a_mistake_is_left_out_as_a_whole_and_told(file: bytes, said: str) -> None:
    found = resolve("a/b", {}, file)
    assert found.policy == Policy()
    assert said in found.problems[0]


def test_values_that_no_policy_has_are_refused_before_they_are_kept() -> None:
    for wrong in ({"block_on": 3}, {"locked": "block_on"}, {"locked": ["nothing"]}, {"round_limit": True}):
        with pytest.raises(WrongUse):
            check(wrong)


async def test_r32_a_merge_request_does_not_edit_its_own_policy(open_review: Open) -> None:
    name = ".mergewright/review.yaml"
    stage = open_review(
        claim(severity="major"),
        base={"README.md": "x\n", name: "block_on: major\n"},
        files={**CHANGE, name: "block_on: blocker\n"},
    )
    done = await stage.review()
    assert done.policy["block_on"] == "major"
    assert stage.merge_request()["detailed_merge_status"] == "requested_changes"


async def test_r30_another_setting_takes_effect_at_the_next_review(open_review: Open) -> None:
    stage = open_review(claim(severity="major"))
    assert (await stage.review()).policy["block_on"] == "critical"
    await stage.policy(block_on="major")
    assert (await stage.review()).policy["block_on"] == "major"
