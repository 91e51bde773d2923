"""Pipelines, jobs and commit statuses on the wire."""

from mergewright.localforge.call import Wire
from mergewright.localforge.clock import seconds_between
from mergewright.localforge.instance import Instance
from mergewright.localforge.repository import Commit
from mergewright.localforge.tables import Job, Pipeline, Project
from mergewright.localforge.wire.projects import web_url
from mergewright.localforge.wire.repository import commit_wire
from mergewright.localforge.wire.users import user_basic

LABELS = {"success": "passed", "canceled": "canceled", "manual": "waiting for manual action"}


def pipeline_url(instance: Instance, project: Project, pipeline: Pipeline) -> str:
    return f"{web_url(instance, project)}/-/pipelines/{pipeline.id}"


def job_url(instance: Instance, project: Project, job: Job) -> str:
    return job.target_url or f"{web_url(instance, project)}/-/jobs/{job.id}"


def pipeline_basic(instance: Instance, project: Project, pipeline: Pipeline) -> Wire:
    return {
        "id": pipeline.id,
        "iid": pipeline.iid,
        "project_id": pipeline.project_id,
        "sha": pipeline.sha,
        "ref": pipeline.ref,
        "status": pipeline.status,
        "source": pipeline.source,
        "created_at": pipeline.created_at,
        "updated_at": pipeline.updated_at,
        "web_url": pipeline_url(instance, project, pipeline),
        "name": None,
    }


def detailed_status(instance: Instance, project: Project, pipeline: Pipeline) -> Wire:
    label = LABELS.get(pipeline.status, pipeline.status)
    waits = pipeline.status in {"created", "pending"} and not instance.runs_jobs
    return {
        "icon": f"status_{pipeline.status}",
        "text": label.capitalize(),
        "label": label,
        "group": pipeline.status,
        "tooltip": "stuck: this forge runs no jobs" if waits else label,
        "has_details": True,
        "details_path": f"/{project.path_with_namespace}/-/pipelines/{pipeline.id}",
        "illustration": None,
        "favicon": None,
    }


def pipeline_wire(instance: Instance, project: Project, pipeline: Pipeline) -> Wire:
    duration = seconds_between(pipeline.started_at, pipeline.finished_at) if pipeline.finished_at else None
    queued = seconds_between(pipeline.created_at, pipeline.started_at) if pipeline.started_at else None
    return pipeline_basic(instance, project, pipeline) | {
        "before_sha": pipeline.before_sha,
        "tag": pipeline.tag,
        "yaml_errors": pipeline.yaml_errors,
        "user": user_basic(instance, pipeline.user),
        "started_at": pipeline.started_at,
        "finished_at": pipeline.finished_at,
        "committed_at": None,
        "duration": int(duration) if duration is not None else None,
        "queued_duration": int(queued) if queued is not None else None,
        "coverage": None,
        "archived": False,
        "detailed_status": detailed_status(instance, project, pipeline),
    }


def job_wire(instance: Instance, project: Project, job: Job, commit: Commit) -> Wire:
    pipeline = job.pipeline
    return {
        "id": job.id,
        "status": job.status,
        "stage": job.stage,
        "name": job.name,
        "ref": pipeline.ref,
        "tag": pipeline.tag,
        "coverage": job.coverage,
        "allow_failure": job.allow_failure,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "erased_at": None,
        "duration": seconds_between(job.started_at, job.finished_at),
        "queued_duration": seconds_between(job.queued_at, job.started_at) if job.started_at else None,
        "user": user_basic(instance, job.user),
        "commit": commit_wire(instance, project, commit),
        "pipeline": pipeline_basic(instance, project, pipeline),
        "web_url": job_url(instance, project, job),
        "project": {"ci_job_token_scope_enabled": False},
        "artifacts": [],
        "runner": None,
        "runner_manager": None,
        "artifacts_expire_at": None,
        "archived": False,
        "tag_list": [],
        **({"failure_reason": job.failure_reason} if job.failure_reason else {}),
    }


def status_wire(instance: Instance, project: Project, job: Job) -> Wire:
    return {
        "id": job.id,
        "sha": job.pipeline.sha,
        "ref": job.pipeline.ref,
        "status": job.status,
        "name": job.name,
        "target_url": job_url(instance, project, job) if not job.external else job.target_url,
        "description": job.description,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "allow_failure": job.allow_failure,
        "coverage": job.coverage,
        "pipeline_id": job.pipeline_id,
        "author": user_basic(instance, job.user),
    }
