"""Pipelines from a push to their end, with jobs that really run."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mergewright.localforge.ci.runner import expand
from mergewright.localforge.server import JobOrder, JobOutcome
from tests.localforge.conftest import People, World, build_world, commit, git


async def in_a_shell(job: JobOrder, trace: Callable[[bytes], None]) -> JobOutcome:
    """Run a job as a plain process: these tests are about the forge, not about safety."""
    process = await asyncio.create_subprocess_exec(
        "sh", "-e", "-c", "\n".join(job.script),
        cwd=job.checkout, env={"PATH": "/usr/bin:/bin", **job.variables},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(job.timeout):
            while chunk := await process.stdout.read(4096):
                trace(chunk)
            return JobOutcome(await process.wait())
    except TimeoutError:
        return JobOutcome(None, "job_execution_timeout")
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.stdout.read()
            await process.wait()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = build_world(tmp_path_factory.mktemp("world"), run_job=in_a_shell)
    world.forge.start()
    yield world
    world.forge.stop()


def wait_for(client: httpx2.Client, path: str, *statuses: str) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        row: dict[str, Any] = client.get(path).json()
        if row["status"] in statuses:
            return row
        time.sleep(0.05)
    raise AssertionError(f"{path} is {row['status']}, not {statuses}")


def start(people: People, world: World, branch: str, config: str, **files: str) -> str:
    """Push a configuration on a branch and return the path of its pipeline."""
    sha = commit(people.dev, world.path, branch, {".gitlab-ci.yml": config, **files})
    found = people.dev.get(f"{world.path}/pipelines", params={"sha": sha}).json()
    return f"{world.path}/pipelines/{found[0]['id']}"


def jobs_of(people: People, pipeline: str) -> dict[str, dict[str, Any]]:
    return {job["name"]: job for job in people.dev.get(f"{pipeline}/jobs", params={"per_page": 100}).json()}


def trace_of(people: People, world: World, job: dict[str, Any]) -> str:
    return people.dev.get(f"{world.path}/jobs/{job['id']}/trace").text


def test_a_push_runs_its_jobs_on_a_clone_of_the_commit(world: World, people: People) -> None:
    config = """
image: python:3.12
variables: {GREETING: hello}
build: {stage: build, script: ['echo "$GREETING from $CI_COMMIT_BRANCH"', 'cat src/app.py | head -1']}
test:
  script: ['git log --format=%s | head -1', 'git remote', 'test -z "$(git config --get-regexp url)"']
  after_script: ['echo "it was $CI_JOB_STATUS"']
"""
    pipeline = start(people, world, "ci/run", config)
    row = wait_for(people.dev, pipeline, "success")
    assert (row["source"], row["ref"], row["detailed_status"]["label"]) == ("push", "ci/run", "passed")
    jobs = jobs_of(people, pipeline)
    assert {name: job["status"] for name, job in jobs.items()} == {"build": "success", "test": "success"}
    trace = trace_of(people, world, jobs["build"])
    assert "hello from ci/run\nline 1\n" in trace
    assert "jobs:build: `image` is left out by the local forge" in trace
    assert trace.endswith("Job succeeded\n")
    assert "Change .gitlab-ci.yml\nRunning after_script\nit was success\n" in trace_of(people, world, jobs["test"])
    builds = world.forge.settings.home / "builds"
    assert list(builds.iterdir()) == []


def test_a_pipeline_whose_configuration_is_wrong_stays_failed_however_often_it_is_retried(
    world: World, people: People
) -> None:
    pipeline = start(people, world, "wrong-config", "test: {script: [false]}\n")
    for path in ("", "/retry", "/cancel"):
        told = people.dev.post(f"{pipeline}{path}").json() if path else people.dev.get(pipeline).json()
        assert (told["status"], bool(told["yaml_errors"])) == ("failed", True), path
    assert jobs_of(people, pipeline) == {}


def test_a_failure_skips_the_rest_and_a_retry_can_mend_it(world: World, people: People, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    config = f"""
first: {{stage: build, script: 'test -e {mark}'}}
lenient: {{stage: build, script: 'exit 3', allow_failure: true}}
second: {{stage: test, script: 'true'}}
rescue: {{stage: test, script: 'echo rescued', when: on_failure}}
always: {{stage: deploy, script: 'true', when: always}}
"""
    pipeline = start(people, world, "ci/fail", config)
    row = wait_for(people.dev, pipeline, "failed")
    jobs = jobs_of(people, pipeline)
    assert {name: job["status"] for name, job in jobs.items()} == {
        "first": "failed", "lenient": "failed", "second": "skipped", "rescue": "success", "always": "success",
    }  # fmt: skip
    assert jobs["first"]["failure_reason"] == "script_failure"
    assert trace_of(people, world, jobs["lenient"]).endswith("ERROR: Job failed: exit code 3\n")
    assert row["finished_at"]
    mark.touch()
    assert people.rita.post(f"{pipeline}/retry").status_code == 403
    assert people.dev.post(f"{pipeline}/retry").status_code == 201
    wait_for(people.dev, pipeline, "success")
    jobs = jobs_of(people, pipeline)
    assert (jobs["first"]["status"], jobs["second"]["status"], jobs["rescue"]["status"]) == (
        "success", "success", "success",
    )  # fmt: skip
    everything = people.dev.get(f"{pipeline}/jobs", params={"include_retried": True}).json()
    assert len(everything) > len(jobs)


def test_a_running_job_shows_its_trace_and_can_be_cancelled(world: World, people: People) -> None:
    pipeline = start(people, world, "ci/long", "long: {script: ['echo started', 'sleep 60']}\n")
    job = jobs_of(people, pipeline)["long"]
    deadline = time.monotonic() + 20
    while "started" not in trace_of(people, world, job) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert "started" in trace_of(people, world, job)
    assert people.dev.get(pipeline).json()["status"] == "running"
    assert people.dev.post(f"{pipeline}/cancel").json()["status"] == "canceled"
    after = start(people, world, "ci/next", "quick: {script: 'true'}\n")
    wait_for(people.dev, after, "success")
    assert people.dev.get(f"{world.path}/jobs/{job['id']}").json()["status"] == "canceled"


def test_a_job_ends_at_its_own_limit(world: World, people: People) -> None:
    pipeline = start(people, world, "ci/limit", "slow: {script: 'sleep 60', timeout: 1 second}\n")
    wait_for(people.dev, pipeline, "failed")
    assert jobs_of(people, pipeline)["slow"]["failure_reason"] == "job_execution_timeout"


def test_a_manual_job_waits_for_somebody(world: World, people: People) -> None:
    config = "job: {script: 'true', rules: [{when: manual}]}\nafter: {stage: deploy, script: 'true'}\n"
    pipeline = start(people, world, "ci/manual", config)
    assert people.dev.get(pipeline).json()["status"] == "manual"
    job = jobs_of(people, pipeline)["job"]
    assert people.dev.post(f"{world.path}/jobs/{job['id']}/play").status_code == 200
    wait_for(people.dev, pipeline, "success")
    assert jobs_of(people, pipeline)["after"]["status"] == "success"


def test_a_configuration_that_cannot_run_fails_its_pipeline_with_the_reason(world: World, people: People) -> None:
    pipeline = start(people, world, "ci/bad", "job: {script: x, services: [postgres]}\n")
    row = people.dev.get(pipeline).json()
    assert (row["status"], row["yaml_errors"]) == ("failed", "jobs:job: `services` is not supported by the local forge")


def test_a_merge_request_gets_its_own_pipeline_where_the_rules_ask_for_one(world: World, people: People) -> None:
    config = """
job:
  script: 'echo "$CI_MERGE_REQUEST_IID to $CI_MERGE_REQUEST_TARGET_BRANCH_NAME"'
  rules: [{if: '$CI_PIPELINE_SOURCE == "merge_request_event"'}]
"""
    commit(people.dev, world.path, "ci/mr", {".gitlab-ci.yml": config})
    body = {"source_branch": "ci/mr", "target_branch": "main", "title": "MR"}
    row = people.dev.post(f"{world.path}/merge_requests", json=body).json()
    path = f"{world.path}/merge_requests/{row['iid']}"
    (pipeline,) = people.dev.get(f"{path}/pipelines").json()
    assert (pipeline["source"], pipeline["ref"]) == ("merge_request_event", f"refs/merge-requests/{row['iid']}/head")
    wait_for(people.dev, f"{world.path}/pipelines/{pipeline['id']}", "success")
    head = people.dev.get(path).json()["head_pipeline"]
    assert (head["id"], head["status"]) == (pipeline["id"], "success")
    (job,) = jobs_of(people, f"{world.path}/pipelines/{pipeline['id']}").values()
    assert f"{row['iid']} to main" in trace_of(people, world, job)


def test_a_pipeline_is_started_by_hand_with_variables(world: World, people: People) -> None:
    config = "job: {script: 'echo got $WHO', rules: [{if: $WHO}]}\n"
    sha = commit(people.dev, world.path, "ci/hand", {".gitlab-ci.yml": config})
    assert people.dev.get(f"{world.path}/pipelines", params={"sha": sha}).json() == []
    body = {"ref": "ci/hand", "variables": [{"key": "WHO", "value": "you"}]}
    made = people.dev.post(f"{world.path}/pipeline", json=body)
    assert (made.status_code, made.json()["source"]) == (201, "api")
    pipeline = f"{world.path}/pipelines/{made.json()['id']}"
    wait_for(people.dev, pipeline, "success")
    assert "got you" in trace_of(people, world, jobs_of(people, pipeline)["job"])
    assert people.dev.post(f"{world.path}/pipeline", json={"ref": "none"}).status_code == 400
    assert people.rita.post(f"{world.path}/pipeline", json=body).status_code == 403
    latest = people.dev.get(f"{world.path}/pipelines/latest", params={"ref": "ci/hand"}).json()
    assert latest["id"] == made.json()["id"]


def test_a_commit_can_ask_for_no_pipeline(world: World, people: People, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", world.remote("dev"), "c")
    clone = tmp_path / "c"
    git(clone, "checkout", "-q", "-b", "ci/skip")
    (clone / ".gitlab-ci.yml").write_text("job: {script: 'true'}\n")
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "No tests [skip ci]")
    git(clone, "push", "-q", "origin", "ci/skip")
    (pipeline,) = people.dev.get(f"{world.path}/pipelines", params={"ref": "ci/skip"}).json()
    assert pipeline["status"] == "skipped"


def test_variables_are_put_into_each_other() -> None:
    given = {"A": "$B/x", "B": "${C}", "C": "c$$", "D": "$D $NONE", "E": "$F", "F": "$E", "CI_COMMIT_MESSAGE": "$C"}
    assert expand(given) == {
        "A": "c$/x", "B": "c$", "C": "c$", "D": "$D $NONE", "E": "$E", "F": "$F", "CI_COMMIT_MESSAGE": "$C",
    }  # fmt: skip


def test_lint_says_what_is_wrong_and_what_would_run(world: World, people: People) -> None:
    lint = f"{world.path}/ci/lint"
    good = people.dev.post(lint, json={"content": "job: {script: x, image: y}"}).json()
    assert (good["valid"], good["jobs"][0]["name"]) == (True, "job")
    assert good["warnings"] == ["jobs:job: `image` is left out by the local forge"]
    bad = people.dev.post(lint, json={"content": "job: {stage: test}"}).json()
    assert (bad["valid"], bad["errors"]) == (False, ["jobs:job config should contain a `script`"])


def test_a_forge_without_a_runner_keeps_jobs_waiting_and_says_so(tmp_path: Path) -> None:
    world = build_world(tmp_path)
    world.forge.start()
    try:
        with world.client("dev") as dev:
            sha = commit(dev, world.path, "ci", {".gitlab-ci.yml": "job: {script: 'true'}\n"})
            (pipeline,) = dev.get(f"{world.path}/pipelines", params={"sha": sha}).json()
            assert pipeline["status"] == "pending"
            full = dev.get(f"{world.path}/pipelines/{pipeline['id']}").json()
            assert full["detailed_status"]["tooltip"] == "stuck: this forge runs no jobs"
            (job,) = dev.get(f"{world.path}/pipelines/{pipeline['id']}/jobs").json()
            assert job["status"] == "pending"
            assert "stuck" in dev.get(f"{world.path}/jobs/{job['id']}/trace").text
    finally:
        world.forge.stop()


def test_a_job_that_cannot_even_begin_is_not_tried_without_pause(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = build_world(tmp_path, run_job=in_a_shell)
    traces = world.forge.settings.home / "traces"
    if traces.exists():
        traces.rmdir()
    traces.write_text("in the way")
    world.forge.start()
    try:
        with world.client("mia") as client:
            config = "job: {script: ['true']}"
            body = {"branch": "main", "commit_message": "Add CI", "content": config}
            client.post(f"{world.path}/repository/files/.gitlab-ci.yml", json=body).raise_for_status()
            time.sleep(1.0)
            failed = [record for record in caplog.records if record.message == "a job could not be run"]
            assert len(failed) == 1
            (pipeline,) = client.get(f"{world.path}/pipelines").json()
            assert pipeline["status"] in {"pending", "running"}
    finally:
        world.forge.stop()
