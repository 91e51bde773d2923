import pytest

from mergewright.review import globs


@pytest.mark.parametrize(
    ("patterns", "path", "meant"),
    [
        (["*.rb"], "a.rb", True),
        (["*.rb"], "lib/a.rb", False),
        (["**/*.rb"], "a.rb", True),
        (["**/*.rb"], "lib/deep/a.rb", True),
        (["**/*.{js,ts}"], "src/a.ts", True),
        (["**/*.{js,ts}"], "src/a.rb", False),
        (["src/**"], "src/.hidden/a", True),
        (["**/*.rb", "!spec/**"], "spec/a.rb", False),
        (["!spec/**"], "lib/a.rb", True),
        (["!spec/**"], "spec/a.rb", False),
        (["A.rb"], "a.rb", False),
        ([], "a.rb", False),
    ],
)
def test_a_glob_means_what_gitlab_says_it_means(patterns: list[str], path: str, meant: bool) -> None:
    assert globs.matches(path, patterns) is meant


@pytest.mark.parametrize("pattern", ["", "!", "a" * 301, "{a,b}" * 40])
def test_a_glob_that_nobody_can_mean_is_a_problem(pattern: str) -> None:
    assert globs.problem(pattern)
