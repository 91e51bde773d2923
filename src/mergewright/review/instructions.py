"""What a project asks of its reviews: `.gitlab/duo/mr-review-instructions.yaml` of the target branch.

https://docs.gitlab.com/user/gitlab_duo/customize_duo/review_instructions/
"""

from dataclasses import dataclass

import yaml

from mergewright.domain.session import JSON
from mergewright.domain.yaml_file import read_yaml
from mergewright.review import globs

FILE = ".gitlab/duo/mr-review-instructions.yaml"
LONGEST = 20_000
"""Characters of one group's instructions."""


@dataclass(frozen=True, slots=True)
class Group:
    """Instructions for the files that its globs mean."""

    name: str
    file_filters: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Instructions:
    """The groups that could be read, and what is wrong with the others."""

    groups: tuple[Group, ...] = ()
    problems: tuple[str, ...] = ()

    def for_path(self, path: str) -> tuple[Group, ...]:
        """Give every group that means a file."""
        return tuple(group for group in self.groups if globs.matches(path, group.file_filters))


def read_instructions(data: bytes | None) -> Instructions:
    """Read the file's bytes, None for no file; what is wrong is told, and the rest is used."""
    if data is None:
        return Instructions()
    try:
        value = read_yaml(data.decode())
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        return Instructions(problems=(f"`{FILE}` cannot be read: {_short(error)}",))
    if not isinstance(value, dict) or not isinstance(value.get("instructions"), list):
        return Instructions(problems=(f"`{FILE}` has no list `instructions`",))
    groups: list[Group] = []
    problems = [f"`{FILE}`: `{name}` is not known" for name in value if name != "instructions"]
    for number, item in enumerate(value["instructions"], start=1):
        group = _group(item)
        if isinstance(group, Group):
            groups.append(group)
        else:
            problems.append(f"`{FILE}`, group {number}: {group}")
    return Instructions(tuple(groups), tuple(problems))


def _group(item: JSON) -> Group | str:
    """Give a group, or what is wrong with it."""
    if not isinstance(item, dict):
        return "it is no mapping"
    unknown = set(item) - {"name", "fileFilters", "instructions"}
    if unknown:
        return f"`{sorted(map(str, unknown))[0]}` is not known"
    name, filters, text = item.get("name"), item.get("fileFilters"), item.get("instructions")
    if not isinstance(name, str) or not name.strip():
        return "it has no `name`"
    if not isinstance(text, str) or not text.strip():
        return "it has no `instructions`"
    if len(text) > LONGEST:
        return f"its instructions are longer than {LONGEST:,} characters"
    if not isinstance(filters, list) or not filters or not all(isinstance(one, str) for one in filters):
        return "it has no list `fileFilters`"
    wrong = next((told for one in filters if (told := globs.problem(one))), "")
    return wrong or Group(" ".join(name.split())[:100], tuple(filters), text.strip())


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
