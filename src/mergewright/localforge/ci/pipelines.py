"""Pipelines from their making to their end: each change of a job moves the rest on."""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mergewright.localforge.announce import announce_job, announce_pipeline
from mergewright.localforge.ci.conditions import BadExpression
from mergewright.localforge.ci.config import Config, InvalidConfig, notice, read_config
from mergewright.localforge.ci.select import Selected, select_jobs
from mergewright.localforge.clock import now
from mergewright.localforge.instance import Instance
from mergewright.localforge.repository import Commit, Repository
from mergewright.localforge.tables import Job, MergeRequest, Pipeline, Project, User
from mergewright.localforge.wire.projects import web_url

CONFIG_PATH = ".gitlab-ci.yml"
LIVE = frozenset({"created", "pending", "running"})
ENDED = frozenset({"success", "failed", "canceled", "skipped"})


def config_at(instance: Instance, project: Project, sha: str) -> str | None:
    return _config(instance.repository(project), sha)


# What a commit holds never changes, and each of its pipelines asks.
@lru_cache(maxsize=64)
def _config(repository: Repository, sha: str) -> str | None:
    blob = repository.blob(sha, CONFIG_PATH)
    return None if blob is None else blob.data.decode("utf-8", "replace")


def predefined(
    instance: Instance,
    project: Project,
    commit: Commit,
    *,
    ref: str,
    source: str,
    tag: bool = False,
    merge_request: MergeRequest | None = None,
) -> dict[str, str]:
    """The variables GitLab sets for every pipeline, as far as a local one has them."""
    variables = {
        "CI": "true",
        "GITLAB_CI": "true",
        "CI_SERVER_URL": instance.url,
        "CI_API_V4_URL": f"{instance.url}/api/v4",
        "CI_PROJECT_ID": str(project.id),
        "CI_PROJECT_NAME": project.path,
        "CI_PROJECT_PATH": project.path_with_namespace,
        "CI_PROJECT_NAMESPACE": project.namespace,
        "CI_PROJECT_URL": web_url(instance, project),
        "CI_DEFAULT_BRANCH": project.default_branch,
        "CI_PIPELINE_SOURCE": source,
        "CI_COMMIT_SHA": commit.sha,
        "CI_COMMIT_SHORT_SHA": commit.sha[:8],
        "CI_COMMIT_REF_NAME": ref,
        "CI_COMMIT_TITLE": commit.title,
        "CI_COMMIT_MESSAGE": commit.message,
    }
    if merge_request:
        return variables | {
            "CI_COMMIT_REF_NAME": merge_request.source_branch,
            "CI_MERGE_REQUEST_IID": str(merge_request.iid),
            "CI_MERGE_REQUEST_TITLE": merge_request.title,
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": merge_request.source_branch,
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": merge_request.target_branch,
            "CI_MERGE_REQUEST_DIFF_BASE_SHA": merge_request.base_sha,
        }
    return variables | {"CI_COMMIT_TAG" if tag else "CI_COMMIT_BRANCH": ref}


def create_pipeline(
    instance: Instance,
    session: Session,
    project: Project,
    user: User,
    *,
    ref: str,
    sha: str,
    source: str,
    before: str = "0" * 40,
    tag: bool = False,
    merge_request: MergeRequest | None = None,
    variables: dict[str, str] | None = None,
) -> Pipeline | None:
    """Make the pipeline of a commit; None when it has no configuration or no job fits."""
    text = config_at(instance, project, sha) if project.jobs_enabled else None
    if text is None:
        return None
    commit = instance.repository(project).commit(sha)
    pipeline = Pipeline(
        iid=next_iid(session, project),
        project_id=project.id,
        sha=sha,
        before_sha=before,
        ref=ref,
        tag=tag,
        source=source,
        user_id=user.id,
        merge_request_id=merge_request.id if merge_request else None,
        variables=variables or {},
    )
    known = predefined(instance, project, commit, ref=ref, source=source, tag=tag, merge_request=merge_request)
    try:
        config = read_config(text)
        chosen = select_jobs(config, known | pipeline.variables)
    except (InvalidConfig, BadExpression) as error:
        pipeline.status, pipeline.yaml_errors, pipeline.finished_at = "failed", str(error), now()
        session.add(pipeline)
        announce_pipeline(instance, session, pipeline)
        return pipeline
    if not chosen:
        return None
    pipeline.stages = [stage for stage in config.stages if any(job.config.stage == stage for job in chosen)]
    session.add(pipeline)
    session.flush()
    for job in chosen:
        session.add(_job(pipeline, config, job, known, user))
    if any(mark in commit.message.lower() for mark in ("[skip ci]", "[ci skip]")):
        for row in jobs_of(session, pipeline):
            row.status = "skipped"
    session.flush()
    announce_pipeline(instance, session, pipeline)
    advance(instance, session, pipeline)
    return pipeline


def next_iid(session: Session, project: Project) -> int:
    return (session.scalar(select(func.max(Pipeline.iid)).where(Pipeline.project_id == project.id)) or 0) + 1


def _job(pipeline: Pipeline, config: Config, job: Selected, known: dict[str, str], user: User) -> Job:
    return Job(
        pipeline_id=pipeline.id,
        project_id=pipeline.project_id,
        name=job.config.name,
        stage=job.config.stage,
        when=job.when,
        allow_failure=job.allow_failure,
        script=list(job.config.script),
        after_script=list(job.config.after_script),
        # GitLab's order: what the pipeline was started with wins over the file.
        variables=known | config.variables | job.variables | pipeline.variables,
        notices=[notice(job.config.name, word) for word in job.config.left_out],
        timeout=job.config.timeout,
        user_id=user.id,
    )


def jobs_of(session: Session, pipeline: Pipeline) -> list[Job]:
    """A pipeline's jobs and outside statuses, those that were retried left out."""
    rows = select(Job).where(Job.pipeline_id == pipeline.id, Job.retried.is_(False)).order_by(Job.id)
    return list(session.scalars(rows))


def blocks(job: Job) -> bool:
    return job.status in {"failed", "canceled"} and not job.allow_failure


def advance(instance: Instance, session: Session, pipeline: Pipeline) -> None:
    """Start or skip what the jobs so far decide, then work out the pipeline's own status."""
    session.flush()
    if pipeline.yaml_errors:
        # It has failed without a job, and no retry gives it any.
        return
    jobs = jobs_of(session, pipeline)
    failed = holding = False
    for stage in pipeline.stages:
        own = [job for job in jobs if job.stage == stage and not job.external]
        if not holding:
            for job in own:
                if job.status == "created":
                    _begin(instance, session, job, failed=failed)
        failed = failed or any(blocks(job) for job in own)
        waits = any(job.status in LIVE or (job.status == "manual" and not job.allow_failure) for job in own)
        holding = holding or waits
    _settle(instance, session, pipeline, jobs)


def _begin(instance: Instance, session: Session, job: Job, *, failed: bool) -> None:
    starts = {"on_success": not failed, "on_failure": failed, "always": True, "manual": not failed}[job.when]
    job.status = "skipped" if not starts else "manual" if job.when == "manual" else "pending"
    if job.status == "pending":
        job.queued_at = now()
    announce_job(instance, session, job)


def _settle(instance: Instance, session: Session, pipeline: Pipeline, jobs: Sequence[Job]) -> None:
    before, status = pipeline.status, status_of(jobs)
    if status == before:
        return
    pipeline.status, pipeline.updated_at = status, now()
    if status == "running" and pipeline.started_at is None:
        pipeline.started_at = now()
    pipeline.finished_at = now() if status in ENDED else None
    announce_pipeline(instance, session, pipeline)


def status_of(jobs: Sequence[Job]) -> str:
    """A pipeline's status from its jobs', by GitLab's rules in GitLab's order."""
    states = {_counted(job) for job in jobs}
    if states <= {"skipped", "ignored"}:
        return "skipped"
    if states <= {"success", "skipped", "ignored"}:
        return "success"
    if states == {"created"}:
        return "created"
    if states <= {"canceled", "success", "skipped", "ignored"}:
        return "canceled"
    if states <= {"pending", "created", "skipped", "ignored"}:
        return "pending" if "pending" in states else "running"
    if states & {"running", "pending"}:
        return "running"
    if "manual" in states:
        return "manual"
    return "running" if "created" in states else "failed"


def _counted(job: Job) -> str:
    """A job's status as its pipeline sees it: one that may fail does not count when it does."""
    if not job.allow_failure:
        return job.status
    return {"failed": "success", "canceled": "ignored", "manual": "ignored"}.get(job.status, job.status)


def retry_job(instance: Instance, session: Session, job: Job, user: User) -> Job:
    """Put a new job in the place of one that has ended."""
    again = Job(
        **{
            key: getattr(job, key)
            for key in ("pipeline_id", "project_id", "name", "stage", "script", "after_script", "variables")
        },
        when="on_success",
        allow_failure=job.allow_failure,
        notices=job.notices,
        timeout=job.timeout,
        user_id=user.id,
        status="pending",
        queued_at=now(),
    )
    job.retried = True
    session.add(again)
    session.flush()
    pipeline = session.get_one(Pipeline, job.pipeline_id)
    for later in _later(session, pipeline, again):
        if later.status == "skipped":
            later.status = "created"
    announce_job(instance, session, again)
    advance(instance, session, pipeline)
    return again


def _later(session: Session, pipeline: Pipeline, job: Job) -> list[Job]:
    order = pipeline.stages
    return [
        row
        for row in jobs_of(session, pipeline)
        if not row.external and order.index(row.stage) > order.index(job.stage)
    ]


def cancel(instance: Instance, session: Session, pipeline: Pipeline, jobs: Sequence[Job]) -> None:
    """End jobs that have not ended; the runner stops those that run."""
    for job in jobs:
        if job.status in LIVE | {"manual"} and not job.external:
            job.status, job.finished_at = "canceled", now()
            announce_job(instance, session, job)
    advance(instance, session, pipeline)
