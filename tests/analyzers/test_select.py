from mergewright.analyzers.select import analyzers_for
from mergewright.domain.policy import Policy


def test_python_files_are_read_by_ruff_and_bandit() -> None:
    assert [one.name for one in analyzers_for(Policy(), ["src/a.py", "b.md"])] == ["ruff", "bandit"]


def test_without_python_files_only_the_projects_own_analyzers_run() -> None:
    policy = Policy(analyzers={"semgrep": "semgrep scan --sarif"})
    assert [one.name for one in analyzers_for(policy, ["a.go"])] == ["semgrep"]
