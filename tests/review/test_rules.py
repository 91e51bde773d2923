import pytest

from mergewright.review.rules import read_rules

GOOD = b"""
exclude:
  target_branches: ["release/*"]
  source_branches: ["renovate/**"]
  authors: ["*-bot"]
"""


@pytest.mark.parametrize(
    ("target", "source", "author", "named"),
    [
        ("release/1", "x", "ada", "target branches"),
        ("main", "renovate/a/b", "ada", "source branches"),
        ("main", "x", "mend-bot", "authors"),
        ("main", "x", "ada", ""),
    ],
)
def test_a_match_skips_the_automatic_review_and_says_why(target: str, source: str, author: str, named: str) -> None:
    why = read_rules(GOOD).skips(target_branch=target, source_branch=source, author=author)
    assert named in why
    assert bool(why) is bool(named)


def test_without_a_file_nothing_is_skipped() -> None:
    assert read_rules(None).skips(target_branch="main", source_branch="x", author="ada") == ""


@pytest.mark.parametrize(
    "data", [b"exclude: 1", b"x: 1", b"exclude: {branches: []}", b"exclude: {authors: x}", b"[", b"\xff"]
)
def test_a_file_with_a_mistake_starts_no_review_by_itself_and_says_why(data: bytes) -> None:
    rules = read_rules(data)
    assert rules.problems
    assert rules.skips(target_branch="main", source_branch="x", author="ada") == rules.problems[0]
