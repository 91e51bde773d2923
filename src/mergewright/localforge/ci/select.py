"""Which jobs of a configuration run in a pipeline, and how."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mergewright.localforge.ci.conditions import BadExpression, holds
from mergewright.localforge.ci.config import Config, JobConfig, Rule
from mergewright.localforge.ci.patterns import BadPattern, matches


@dataclass(frozen=True, slots=True)
class Selected:
    """A job that runs in this pipeline."""

    config: JobConfig
    when: str
    allow_failure: bool
    variables: dict[str, str]


def select_jobs(config: Config, variables: Mapping[str, str]) -> list[Selected]:
    """The jobs that these variables let in, by stage; none when `workflow: rules` keeps the pipeline out."""
    known = config.variables | dict(variables)
    if config.workflow is not None:
        rule = _first(config.workflow, known)
        if rule is None or rule.when == "never":
            return []
        known |= rule.variables
    chosen = [job for job in (_select(job, known) for job in config.jobs) if job]
    return sorted(chosen, key=lambda job: config.stages.index(job.config.stage))


def _first(rules: Sequence[Rule], variables: Mapping[str, str]) -> Rule | None:
    return next((rule for rule in rules if rule.condition is None or holds(rule.condition, variables)), None)


def _select(job: JobConfig, variables: Mapping[str, str]) -> Selected | None:
    own = dict(variables) | job.variables
    if job.rules is not None:
        rule = _first(job.rules, own)
        when = (rule.when or job.when) if rule else "never"
        if rule is None or when == "never":
            return None
        failure = job.allow_failure if rule.allow_failure is None else rule.allow_failure
        # A manual job from `rules` holds the pipeline unless told otherwise.
        return Selected(job, when, bool(failure), job.variables | rule.variables)
    only = job.only if job.only is not None else ("branches", "tags")
    if not any(_is_ref(item, variables) for item in only) or any(_is_ref(i, variables) for i in job.excluded):
        return None
    if job.when == "never":
        return None
    failure = job.when == "manual" if job.allow_failure is None else job.allow_failure
    return Selected(job, job.when, failure, job.variables)


def _is_ref(item: str, variables: Mapping[str, str]) -> bool:
    """Whether a word of `only` or `except` means this pipeline."""
    source = variables["CI_PIPELINE_SOURCE"]
    branch, tag = variables.get("CI_COMMIT_BRANCH"), variables.get("CI_COMMIT_TAG")
    sources = {"pushes": "push", "web": "web", "api": "api", "merge_requests": "merge_request_event"}
    if item in sources:
        return source == sources[item]
    if item == "branches":
        return branch is not None
    if item == "tags":
        return tag is not None
    if re.fullmatch(r"/.+/i?", item):
        try:
            return matches(item, branch or tag or "")
        except BadPattern as error:
            raise BadExpression(str(error)) from error
    return item == (branch or tag)
