"""When a review does not start by itself: `.gitlab/duo/mr-review-automated-rules.yaml` of the default branch.

https://docs.gitlab.com/user/project/merge_requests/duo_in_merge_requests/
"""

from dataclasses import dataclass, field

import yaml

from mergewright.domain.session import JSON
from mergewright.domain.yaml_file import read_yaml
from mergewright.review import globs

FILE = ".gitlab/duo/mr-review-automated-rules.yaml"
KINDS = ("target_branches", "source_branches", "authors")


@dataclass(frozen=True, slots=True)
class AutomatedRules:
    """Merge requests that are reviewed only when somebody asks."""

    exclude: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Globs by kind: of the target branch, the source branch and the author's username."""
    problems: tuple[str, ...] = ()

    def skips(self, *, target_branch: str, source_branch: str, author: str) -> str:
        """Say why no review starts by itself; empty when one does."""
        if self.problems:
            # A file that cannot be read may have excluded this one; somebody can still ask.
            return self.problems[0]
        values = {"target_branches": target_branch, "source_branches": source_branch, "authors": author}
        for kind, value in values.items():
            if any(globs.matches(value, [pattern]) for pattern in self.exclude.get(kind, ())):
                return f"`{FILE}` excludes {kind.replace('_', ' ')} like `{value}`"
        return ""


def read_rules(data: bytes | None) -> AutomatedRules:
    """Read the file's bytes, None for no file; a file with a mistake starts no review by itself."""
    if data is None:
        return AutomatedRules()
    try:
        value = read_yaml(data.decode())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        return AutomatedRules(problems=(f"`{FILE}` cannot be read: {' '.join(str(error).split())[:200]}",))
    if value is None:
        return AutomatedRules()
    exclude = value.get("exclude") if isinstance(value, dict) and set(value) <= {"exclude"} else None
    if not isinstance(exclude, dict):
        return AutomatedRules(problems=(f"`{FILE}` must hold `exclude` and nothing else",))
    wrong = next((told for kind, given in exclude.items() if (told := _problem(kind, given))), "")
    if wrong:
        return AutomatedRules(problems=(f"`{FILE}`: {wrong}",))
    return AutomatedRules({kind: tuple(given) for kind, given in exclude.items()})


def _problem(kind: JSON, given: JSON) -> str:
    if kind not in KINDS:
        return f"`{kind}` is not known"
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        return f"`{kind}` is no list of globs"
    return next((told for one in given if (told := globs.problem(one))), "")
