"""Reads which test and lint commands a project's own `.gitlab-ci.yml` runs, where that is plain to see."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from mergewright.domain.session import JSON

_NAMED = re.compile(r"(?i)(?:^|[\W_])(?:unit|tests?|specs?|lint|linter|checks?|pytest|ruff|mypy|typecheck)(?:$|[\W_])")
_NOT_HERE = re.compile(
    r"^\s*(?:sudo\s+)?(?:apt(?:-get)?|apk|yum|dnf|brew|pip3?|python3?\s+-m\s+(?:pip|venv|ensurepip)|uv\s+(?:pip|sync|venv)|poetry\s+install"
    r"|npm\s+(?:ci|install|i)\b|yarn(?:\s+install)?\s*$|pnpm\s+(?:i|install)\b|bundle\s+install|gem\s+install|composer\s+install"
    r"|go\s+(?:mod\s+download|install|get)|cargo\s+(?:fetch|install)|cpanm?|mix\s+(?:deps|local)|git|cd|source|\.|export|echo|which"
    r"|(?:python3?|node|npm|go|cargo|ruby|perl|php)\s+(?:--?version|-[vV]|version))\b"
)
_NOT_JOBS = frozenset(
    {"default", "include", "stages", "variables", "workflow", "image", "services", "cache", "pages", "spec"}
)


class _AnyTagLoader(yaml.SafeLoader):
    """YAML in which GitLab's own tags, such as `!reference`, are read as unknown values."""


_AnyTagLoader.add_multi_constructor("!", lambda loader, suffix, node: None)


def ci_commands(text: str) -> tuple[tuple[str, str], ...]:
    """Give `(command, job)` for the jobs that test or check; none when the file hides what they run."""
    try:
        document: Any = yaml.load(text, Loader=_AnyTagLoader)  # noqa: S506
    except (yaml.YAMLError, RecursionError):
        return ()
    if not isinstance(document, Mapping):
        return ()
    found: dict[str, str] = {}
    for name, job in document.items():
        if not isinstance(name, str) or name.startswith(".") or name in _NOT_JOBS or not isinstance(job, Mapping):
            continue
        stage = str(job.get("stage", "test"))
        if stage != "test" and not _NAMED.search(name) and not _NAMED.search(stage):
            continue
        if "extends" in job or "trigger" in job:
            continue
        for line in _script(job.get("script")):
            found.setdefault(line, name)
    return tuple(found.items())


def _script(value: JSON) -> list[str]:
    lines = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    commands = []
    for line in lines:
        if not isinstance(line, str):
            return []
        # What fetches needs a network, which there is none of; what names CI's variables means nothing here.
        if _NOT_HERE.match(line) or re.search(r"\$\{?(?:CI|GITLAB)_", line):
            continue
        if line.strip():
            commands.append(line.strip())
    return commands
