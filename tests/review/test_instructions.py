import pytest

from mergewright.review.instructions import Group, read_instructions

GOOD = b"""
instructions:
  - name: Ruby style
    fileFilters: ["**/*.rb", "!spec/**"]
    instructions: |
      Prefer early returns.
  - name: Everything
    fileFilters: ["**/*"]
    instructions: Be kind.
"""


def test_each_group_is_for_the_files_that_its_globs_mean() -> None:
    found = read_instructions(GOOD)
    assert found.problems == ()
    assert [group.name for group in found.for_path("lib/a.rb")] == ["Ruby style", "Everything"]
    assert [group.name for group in found.for_path("spec/a.rb")] == ["Everything"]
    assert found.groups[0] == Group("Ruby style", ("**/*.rb", "!spec/**"), "Prefer early returns.")


def test_without_a_file_there_are_no_instructions_and_no_problems() -> None:
    assert read_instructions(None).groups == ()
    assert read_instructions(None).problems == ()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe", "cannot be read"),
        (b"a: [", "cannot be read"),
        (b"- 1", "no list `instructions`"),
        (b"instructions: [1]", "group 1: it is no mapping"),
        (b"instructions: [{name: a, instructions: b}]", "group 1: it has no list `fileFilters`"),
        (b"instructions: [{fileFilters: ['*'], instructions: b}]", "group 1: it has no `name`"),
        (b"instructions: [{name: a, fileFilters: ['*']}]", "group 1: it has no `instructions`"),
        (b"instructions: [{name: a, fileFilters: [''], instructions: b}]", "group 1: a glob is empty"),
        (b"instructions: [{name: a, fileFilters: ['*'], instructions: b, x: 1}]", "`x` is not known"),
        (b"version: 1\ninstructions: []", "`version` is not known"),
    ],
)
def test_a_mistake_in_the_file_is_told(data: bytes, said: str) -> None:
    [problem] = read_instructions(data).problems
    assert said in problem


def test_a_group_with_a_mistake_leaves_the_others_in_force() -> None:
    found = read_instructions(GOOD + b"  - name: Broken\n")
    assert len(found.groups) == 2
    assert len(found.problems) == 1


def test_a_file_that_unfolds_beyond_measure_is_refused() -> None:
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (98 + n, 98 + n, *([97 + n] * 8)) for n in range(8)
    )
    assert "unfold" in read_instructions(bomb).problems[0]
