"""What the forge reads from `.gitlab-ci.yml`, what it leaves out aloud, and what it refuses."""

import pytest

from mergewright.localforge.ci.conditions import BadExpression, holds
from mergewright.localforge.ci.config import InvalidConfig, read_config
from mergewright.localforge.ci.select import select_jobs

PUSH = {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "main", "CI_DEFAULT_BRANCH": "main"}
TAG = {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1", "CI_DEFAULT_BRANCH": "main"}
MERGE_REQUEST = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_IID": "1"}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('$CI_COMMIT_BRANCH == "main"', True),
        ("$CI_COMMIT_BRANCH == 'other'", False),
        ("$CI_COMMIT_BRANCH != $CI_DEFAULT_BRANCH", False),
        ("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", True),
        ("$CI_COMMIT_BRANCH", True),
        ("$NOT_SET", False),
        ("$NOT_SET == null", True),
        ("${CI_COMMIT_BRANCH} =~ /^MA/i", True),
        ("$CI_COMMIT_BRANCH =~ /^MA/", False),
        ("$CI_COMMIT_BRANCH !~ /^release-/", True),
        ('$NOT_SET || $CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH', True),
        ('($NOT_SET || $CI_PIPELINE_SOURCE == "push") && $NOT_SET', False),
    ],
)
def test_a_condition_is_true_or_false(expression: str, value: bool) -> None:
    assert holds(expression, PUSH) is value


@pytest.mark.parametrize("expression", ["", "$A ==", "$A = 'x'", "($A", "$A $B", "'x' =~ 'y'", "$A =~ /(/", "exit 1"])
def test_a_condition_that_cannot_be_read_is_refused(expression: str) -> None:
    with pytest.raises(BadExpression):
        holds(expression, {"A": "a"})


def names(text: str, variables: dict[str, str]) -> list[str]:
    return [job.config.name for job in select_jobs(read_config(text), variables)]


def test_jobs_come_in_the_order_of_their_stages() -> None:
    text = "stages: [one, two]\nb: {stage: two, script: x}\na: {stage: one, script: x}\nz: {stage: .post, script: x}\n"
    assert names(text, PUSH) == ["a", "b", "z"]


def test_scripts_are_put_together_from_defaults_and_parents() -> None:
    text = """
default:
  before_script: [prepare]
  after_script: tidy
variables: {LEVEL: 1, FLAG: true}
.base:
  variables: {A: base, B: base}
  script: [base]
job:
  extends: [.base]
  variables: {A: own}
  script:
    - first
    - [second, third]
other:
  before_script: []
  script: only
"""
    config = read_config(text)
    job, other = config.jobs
    assert job.script == ("prepare", "first", "second", "third")
    assert job.after_script == ("tidy",)
    assert job.variables == {"A": "own", "B": "base"}
    assert other.script == ("only",)
    assert config.variables == {"LEVEL": "1", "FLAG": "true"}


def test_rules_choose_the_first_that_holds() -> None:
    text = """
job:
  script: x
  rules:
    - if: $CI_COMMIT_TAG
      when: never
    - if: $CI_COMMIT_BRANCH == "main"
      when: manual
      variables: {WHERE: main}
    - when: always
"""
    config = read_config(text)
    assert select_jobs(config, TAG) == []
    (on_main,) = select_jobs(config, PUSH)
    assert (on_main.when, on_main.allow_failure, on_main.variables) == ("manual", False, {"WHERE": "main"})
    (elsewhere,) = select_jobs(config, MERGE_REQUEST)
    assert elsewhere.when == "always"


def test_a_job_without_rules_runs_for_branches_and_tags_but_not_for_merge_requests() -> None:
    text = "plain: {script: x}\nmr: {script: x, only: [merge_requests]}\nmain: {script: x, only: [main]}\n"
    text += "tagged: {script: x, only: {refs: [/^v/]}}\nnot-main: {script: x, except: [main]}\n"
    assert names(text, PUSH) == ["plain", "main"]
    assert names(text, TAG) == ["plain", "tagged", "not-main"]
    assert names(text, MERGE_REQUEST) == ["mr"]


def test_workflow_rules_can_keep_the_whole_pipeline_out() -> None:
    text = "workflow:\n  rules: [{if: $CI_COMMIT_TAG, when: never}, {when: always}]\njob: {script: x}\n"
    assert names(text, TAG) == []
    assert names(text, PUSH) == ["job"]


def test_a_manual_job_may_fail_unless_rules_made_it_so() -> None:
    (job,) = select_jobs(read_config("job: {script: x, when: manual}"), PUSH)
    assert (job.when, job.allow_failure) == ("manual", True)


def test_what_is_left_out_is_said() -> None:
    config = read_config("image: python:3.12\njob: {script: x, needs: [], cache: {paths: [a]}, timeout: 1h 30m}")
    assert config.jobs[0].left_out == ("cache", "image", "needs")
    assert config.jobs[0].timeout == 5400
    assert config.warnings[0] == "jobs:job: `cache` is left out by the local forge"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("include: other.yml\njob: {script: x}", "`include` is not supported"),
        ("job: {script: x, services: [postgres]}", "jobs:job: `services` is not supported"),
        ("job: {script: x, parallel: 3}", "jobs:job: `parallel` is not supported"),
        ("job: {script: x, rules: [{changes: [a]}]}", "jobs:job:rules: `changes` is not supported"),
        ("job: {script: x, only: {changes: [a]}}", "jobs:job:only config should be a list of refs"),
        ("job: {script: x, when: delayed}", "`when: delayed` is not supported"),
        ("job: {script: x, stage: none}", "chosen stage none does not exist"),
        ("job: {stage: test}", "jobs:job config should contain a `script`"),
        ("job: {script: {a: b}}", "jobs:job:script config should be a string"),
        ("job: {script: x, extends: .none}", "`extends` names `.none`"),
        (".a: {extends: .a, script: x}\njob: {extends: .a}", "`extends` goes in a circle"),
        ("job: {script: x, rules: [{if: '$A ='}]}", "jobs:job:rules: `$A =` cannot be read"),
        (".hidden: {script: x}", "at least one visible job"),
        ("just text", "must be a mapping of jobs"),
        ("job: [unclosed", "Invalid configuration format"),
        ("job: {script: !reference [.a, script]}", "Invalid configuration format"),
        ("trigger-it: {trigger: other/project}", "`trigger` is not supported"),
    ],
)
def test_what_the_forge_does_not_know_fails_with_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        read_config(text)
    assert reason in str(caught.value)
