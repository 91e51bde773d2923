"""Which analyzers run for which files."""

from collections.abc import Sequence

from mergewright.domain.policy import Policy
from mergewright.domain.review import Analyzer


def analyzers_for(policy: Policy, paths: Sequence[str]) -> Sequence[Analyzer]:
    """Give the analyzers to run: ours by the files' kind, and the ones that the project's policy names."""
    from mergewright.analyzers.command import Command
    from mergewright.analyzers.python import Bandit, Ruff, is_python

    ours: list[Analyzer] = [Ruff(), Bandit()] if any(is_python(path) for path in paths) else []
    return [*ours, *(Command(name, command) for name, command in policy.analyzers.items())]
