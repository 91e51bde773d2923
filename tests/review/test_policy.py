"""R31 and R32: which policy is in force, where each value comes from, and that a file only ever tightens."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mergewright.domain.errors import WrongUse
from mergewright.domain.forge import AccessLevel
from mergewright.domain.policy import NAMES, Approval, Policy
from mergewright.domain.review import Severity
from mergewright.review.settings import FILE, check, resolve, scopes, tighter

PROJECT = "group/sub/project"
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "request_changes": st.booleans(),
    "auto_review": st.booleans(),
    "review_on_push": st.booleans(),
    "block_on": st.sampled_from([one.value for one in Severity]),
    "approval": st.sampled_from([one.value for one in Approval]),
    "override_role": st.sampled_from(["developer", "maintainer", "owner"]),
    "on_failure": st.sampled_from(["open", "closed"]),
    "exclude": st.lists(st.sampled_from(["a/**", "b/**", "*.md"]), max_size=3),
    "round_limit": st.integers(1, 100),
    "most_findings": st.integers(0, 100),
    "analyzers": st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["run one", "run two"])),
    "flows_off": st.lists(st.sampled_from(["developer", "feedback", "code_review"]), max_size=3),
}
SETTINGS = st.fixed_dictionaries({}, optional=dict(VALUES))
LEVEL = st.tuples(SETTINGS, st.lists(st.sampled_from(sorted(NAMES)), max_size=3)).map(
    lambda pair: {**pair[0], "locked": pair[1]}
)
STORED = st.fixed_dictionaries({}, optional=dict.fromkeys(scopes(PROJECT), LEVEL))


def all_tighter(old: Policy, new: Policy) -> bool:
    return all(tighter(name, getattr(old, name), getattr(new, name)) for name in NAMES)


def test_every_name_of_the_policy_is_known_to_these_tests() -> None:
    assert set(VALUES) == NAMES


def test_without_any_setting_everything_is_the_default() -> None:
    found = resolve(PROJECT, {})
    assert found.policy == Policy()
    assert set(found.sources.values()) == {"default"}
    assert found.sources.keys() == NAMES
    assert (found.locked, found.problems) == ({}, ())


def test_r31_the_nearest_level_decides_and_is_named() -> None:
    stored: Mapping[str, Mapping[str, Any]] = {
        "": {"block_on": "major", "round_limit": 3, "auto_review": False},
        "group": {"block_on": "info", "round_limit": 4},
        "group/sub": {"round_limit": 9},
        PROJECT: {"block_on": "blocker"},
        "other": {"round_limit": 77},
        "group/su": {"round_limit": 78},
    }
    found = resolve(PROJECT, stored)
    assert (found.policy.block_on, found.sources["block_on"]) == (Severity.BLOCKER, PROJECT)
    assert (found.policy.round_limit, found.sources["round_limit"]) == (9, "group/sub")
    assert (found.policy.auto_review, found.sources["auto_review"]) == (False, "organisation")
    assert found.problems == ()


@pytest.mark.parametrize(
    ("name", "upper", "looser", "tight"),
    [
        ("request_changes", True, False, True),
        ("auto_review", True, False, True),
        ("review_on_push", True, False, True),
        ("block_on", "major", "critical", "minor"),
        ("approval", "counts", "advisory", "required"),
        ("approval", "counts", "advisory", "not_counted"),
        ("override_role", "maintainer", "developer", "owner"),
        ("on_failure", "closed", "open", "closed"),
        ("exclude", ["a"], ["a", "b"], []),
        ("exclude", ["a"], ["b"], ["a"]),
        ("round_limit", 5, 4, 6),
        ("most_findings", 20, 19, 21),
        ("analyzers", {"x": "run"}, {}, {"x": "run", "y": "go"}),
        ("analyzers", {"x": "run"}, {"x": "true"}, {"x": "run"}),
        ("flows_off", ["developer"], [], ["developer", "feedback"]),
        ("flows_off", ["developer"], ["feedback"], ["developer", "software_development"]),
    ],
)
def test_r31_under_a_lock_a_lower_level_only_tightens(name: str, upper: object, looser: object, tight: object) -> None:
    above = {"group": {name: upper, "locked": [name]}}
    loosened = resolve(PROJECT, {**above, PROJECT: {name: looser}})
    assert loosened.policy == resolve(PROJECT, above).policy
    assert loosened.sources[name] == "group"
    assert loosened.locked == {name: "group"}
    assert loosened.problems == (f"`{name}` of {PROJECT} is looser than group allows",)
    tightened = resolve(PROJECT, {**above, PROJECT: {name: tight}})
    assert tightened.policy.encode()[name] == tight
    assert tightened.problems == ()
    free = resolve(PROJECT, {"group": {name: upper}, PROJECT: {name: looser}})
    assert free.policy.encode()[name] == looser


def test_r31_a_default_may_be_locked_and_each_level_under_the_lock_tightens_further_only() -> None:
    stored: Mapping[str, Mapping[str, Any]] = {
        "": {"locked": ["block_on"]},
        "group": {"block_on": "minor"},
        PROJECT: {"block_on": "major"},
    }
    found = resolve(PROJECT, stored)
    assert found.policy.block_on is Severity.MINOR
    assert found.problems == (f"`block_on` of {PROJECT} is looser than organisation allows",)


def test_r31_a_level_may_set_what_it_locks_itself() -> None:
    found = resolve(PROJECT, {"group": {"locked": ["block_on"], "block_on": "blocker"}})
    assert found.policy.block_on is Severity.BLOCKER
    assert found.problems == ()


def test_r32_a_file_tightens_and_is_named_as_the_source() -> None:
    file = b"block_on: major\noverride_role: owner\nanalyzers: {semgrep: semgrep scan --sarif}\n"
    found = resolve(PROJECT, {PROJECT: {"analyzers": {"own": "own --sarif"}}}, file)
    assert found.policy.block_on is Severity.MAJOR
    assert found.policy.override_role is AccessLevel.OWNER
    assert found.policy.analyzers == {"own": "own --sarif", "semgrep": "semgrep scan --sarif"}
    assert {found.sources[name] for name in ("block_on", "override_role", "analyzers")} == {FILE}
    assert found.problems == ()


def test_r32_what_would_loosen_stays_as_it_was_and_is_told_while_the_rest_counts() -> None:
    found = resolve(PROJECT, {}, b"block_on: blocker\nround_limit: 9\n")
    assert found.policy == Policy(round_limit=9)
    assert found.problems == (f"`{FILE}`: `block_on` is looser than default sets it, so it is left as it was",)


def test_r32_a_file_cannot_exchange_the_command_of_an_analyzer() -> None:
    found = resolve(PROJECT, {PROJECT: {"analyzers": {"own": "own --sarif"}}}, b"analyzers: {own: 'true'}")
    assert found.policy.analyzers == {"own": "own --sarif"}


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (b"block_on: major\nblok_on: major\n", "there is no policy `blok_on`"),
        (b"block_on: major\nround_limit: many\n", "`round_limit` is `many`"),
        (b"block_on: major\nround_limit: true\n", "`round_limit` is `True`"),
        (b"block_on: major\nround_limit: 0\n", "`round_limit` is `0`"),
        (b"block_on: major\nround_limit: 0x" + b"f" * 9000, "cannot be read"),
        (b"block_on: 2026-13-45", "cannot be read"),
        (b"block_on: [major]", "`block_on` is `['major']`"),
        (b"block_on: " + b"x" * 5000, "`block_on` is `xxx"),
        (b"locked: [block_on]", "there is no policy `locked`"),
        (b"analyzers: {ruff: 'true'}", "no analyzer may be called `ruff`"),
        (b"analyzers: [1]", "names no commands"),
        (b"exclude: '**'", "no list of globs"),
        (b"- block_on\n", "no mapping"),
        (b"just words", "no mapping"),
        (b"block_on: \xff", "cannot be read"),
        (b"block_on: *nowhere", "cannot be read"),
        (b"block_on: !!python/object/apply:os.system [id]", "cannot be read"),
        (b"a: b: c", "cannot be read"),
        (b"x" * 300_000, "longer than 200,000"),
        (b"[" * 50_000, "cannot be read"),
        (b"exclude: &a [*a]", "cannot be read"),
    ],
)
def test_r32_a_file_with_any_mistake_is_left_out_as_a_whole_and_that_is_said(file: bytes, said: str) -> None:
    found = resolve(PROJECT, {PROJECT: {"round_limit": 7}}, file)
    assert found.policy == Policy(round_limit=7)
    (problem,) = found.problems
    assert problem.startswith(f"`{FILE}` is left out: ")
    assert said in problem
    assert len(problem) < 500


@pytest.mark.parametrize("file", [b"", b"# nothing\n", b"---\n", b"{}"])
def test_r32_an_empty_file_changes_nothing(file: bytes) -> None:
    assert resolve(PROJECT, {}, file) == resolve(PROJECT, {})


@given(STORED, SETTINGS)
def test_r32_a_file_never_loosens(stored: Mapping[str, Any], file: Mapping[str, Any]) -> None:
    without = resolve(PROJECT, stored).policy
    found = resolve(PROJECT, stored, yaml.safe_dump(dict(file)).encode())
    assert all_tighter(without, found.policy)
    for name, value in Policy.decode(file).encode().items():
        wanted = getattr(Policy.decode({name: value}), name)
        if name in file and name != "analyzers" and tighter(name, getattr(without, name), wanted):
            assert getattr(found.policy, name) == wanted


@given(STORED, st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_r32_whatever_stands_in_the_file_nothing_breaks(stored: Mapping[str, Any], file: bytes) -> None:
    assert all_tighter(resolve(PROJECT, stored).policy, resolve(PROJECT, stored, file).policy)


@given(LEVEL, LEVEL, LEVEL)
def test_r31_no_lower_level_loosens_what_is_locked(
    top: Mapping[str, Any], middle: Mapping[str, Any], low: Mapping[str, Any]
) -> None:
    upper = resolve(PROJECT, {"": top}).policy
    found = resolve(PROJECT, {"": top, "group": middle, PROJECT: low}).policy
    for name in top["locked"]:
        assert tighter(name, getattr(upper, name), getattr(found, name))


@given(SETTINGS, SETTINGS, SETTINGS)
def test_tighter_is_an_order(one: Mapping[str, Any], two: Mapping[str, Any], three: Mapping[str, Any]) -> None:
    first, second, third = (Policy.decode(values) for values in (one, two, three))
    for name in NAMES:
        a, b, c = (getattr(policy, name) for policy in (first, second, third))
        assert tighter(name, a, a)
        assert not (tighter(name, a, b) and tighter(name, b, c)) or tighter(name, a, c)
        if tighter(name, a, b) and tighter(name, b, a) and name != "exclude":
            assert a == b


@given(SETTINGS)
def test_a_policy_comes_back_as_it_was_written(values: Mapping[str, Any]) -> None:
    policy = Policy.decode(values)
    assert Policy.decode(policy.encode()) == policy


@pytest.mark.parametrize(
    "values",
    [
        {"nope": 1},
        {"block_on": "fatal"},
        {"locked": "block_on"},
        {"locked": ["nope"]},
        {"locked": [["x"]]},
        {"locked": 1},
    ],
)
def test_settings_that_no_level_could_have_are_refused(values: Mapping[str, Any]) -> None:
    with pytest.raises(WrongUse):
        check(values)


def test_good_settings_are_taken() -> None:
    check({"block_on": "major", "locked": ["block_on", "approval"]})


def test_a_projects_scopes_begin_with_everybody() -> None:
    assert scopes("a/b/c") == ["", "a", "a/b", "a/b/c"]
