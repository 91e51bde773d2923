"""Reads which test and lint commands a project's own `.gitlab-ci.yml` runs, where that is plain to see."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from mergewright.domain.session import JSON
from mergewright.domain.yaml_file import read_yaml

_NAMED = re.compile(r"(?i)(?:^|[\W_])(?:unit|tests?|specs?|lint|linter|checks?|pytest|ruff|mypy|typecheck)(?:$|[\W_])")
# What fetches needs a network, which there is none of; what only shows something checks nothing.
_NOT_HERE = re.compile(
    r"\s*(?:sudo\s+)?(?:apt(?:-get)?|apk|yum|dnf|brew|pip3?|python3?\s+-m\s+(?:pip|venv|ensurepip)|virtualenv|git|which"
    r"|uv\s+(?:pip|sync|venv)|poetry\s+install|npm\s+(?:ci|install|i)|yarn\s+install|yarn\s*$|pnpm\s+(?:i|install)"
    r"|corepack|bundle\s+(?:install|config)|gem\s+install|composer\s+install|go\s+(?:mod\s+download|install|get)"
    r"|cargo\s+(?:fetch|install)|cpanm?|mix\s+(?:deps|local)|echo|(?:source|\.)\s+\S*bin/activate"
    r"|(?:python3?|node|npm|go|cargo|ruby|perl|php)\s+(?:--?version|-[vV]|version))(?:\s|$)"
)
_LASTING = re.compile(r"\s*(?:cd|pushd|export|set|source|\.|umask|alias)\s")
"""What changes the shell for the lines behind it."""
_COMPOUND = re.compile(r"<<|\\$|^\s*(?:if|for|while|until|case|do|then|else|fi|done|\w+\s*\(\))\b", re.MULTILINE)
_CI_VARIABLE = re.compile(r"\$\{?(?:CI|GITLAB)_")
_VARIABLE = re.compile(r"(?!CI_|GITLAB_|GIT_|DOCKER_|PIP_|NPM_|FF_|SECURE_|SAST_|CACHE|IMAGE)[A-Za-z_]\w*")
_NOT_JOBS = frozenset(
    {"default", "include", "stages", "variables", "workflow", "image", "services", "cache", "pages", "spec"}
)


_HIDDEN = object()


class _AnyTagLoader(yaml.SafeLoader):
    """YAML in which GitLab's own tags, such as `!reference`, are read as unknown values."""


_AnyTagLoader.add_multi_constructor("!", lambda loader, suffix, node: _HIDDEN)


def ci_commands(text: str) -> tuple[tuple[str, str], ...]:
    """Give `(command, job)` for the jobs that test or check; none when the file hides what they run."""
    try:
        document: Any = read_yaml(text, _AnyTagLoader)
    except yaml.YAMLError:
        return ()
    if not isinstance(document, Mapping):
        return ()
    default = document.get("default")
    before = document.get("before_script", default.get("before_script") if isinstance(default, Mapping) else None)
    found: dict[str, str] = {}
    for name, job in document.items():
        if not isinstance(name, str) or name.startswith(".") or name in _NOT_JOBS or not isinstance(job, Mapping):
            continue
        stage = str(job.get("stage", "test"))
        if stage != "test" and not _NAMED.search(name) and not _NAMED.search(stage):
            continue
        if "extends" in job or "trigger" in job:
            continue
        variables = {**_variables(document.get("variables")), **_variables(job.get("variables"))}
        for command in _commands(_lines(job.get("before_script", before)), _lines(job.get("script")), variables):
            found.setdefault(command, name)
    return tuple(found.items())


def _commands(before: list[str] | None, script: list[str] | None, variables: Mapping[str, str]) -> list[str]:
    """Give a job's lines as commands: one each where they stand alone, else one for the whole job."""
    if before is None or not script:
        return []
    set_up = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    lines = [*set_up, *before, *script]
    if all(_LASTING.match(line) for line in script):
        return []
    return [" && ".join(lines)] if before or any(_LASTING.match(line) for line in lines) else script


def _lines(value: JSON) -> list[str] | None:
    """Give the lines that can be run here; None when not all of them can be read."""
    if value is None:
        return []
    found = []
    for entry in [value] if isinstance(value, str) else value if isinstance(value, list) else [None]:
        if not isinstance(entry, str):
            return None
        for line in [entry] if _COMPOUND.search(entry) else entry.splitlines():
            if line.strip() and not _NOT_HERE.match(line) and not _CI_VARIABLE.search(line):
                found.append(line.strip())
    return found


def _variables(value: JSON) -> dict[str, str]:
    """Give the variables that commands could need and whose value is plain."""
    if not isinstance(value, Mapping):
        return {}
    plain = {name: str(text) for name, text in value.items() if isinstance(text, str | int) and "$" not in str(text)}
    return {name: text for name, text in plain.items() if isinstance(name, str) and _VARIABLE.fullmatch(name)}
