"""Pipelines and the check of their configuration."""

from typing import Any

import yaml
from sqlalchemy import select

from mergewright.localforge import access
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.ci.conditions import BadExpression
from mergewright.localforge.ci.config import InvalidConfig, read_config
from mergewright.localforge.ci.pipelines import (
    advance,
    cancel,
    config_at,
    create_pipeline,
    jobs_of,
    predefined,
    retry_job,
)
from mergewright.localforge.ci.select import select_jobs
from mergewright.localforge.errors import Refused, not_found
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Pipeline, User
from mergewright.localforge.wire.ci import pipeline_basic, pipeline_wire


def _entity(call: Call, pipeline: Pipeline) -> Wire:
    return pipeline_wire(call.instance, call.project, pipeline)


def index(call: Call) -> Answer:
    call.need_code()
    query = select(Pipeline).where(Pipeline.project_id == call.project.id)
    columns = {"ref": Pipeline.ref, "sha": Pipeline.sha, "status": Pipeline.status, "source": Pipeline.source}
    for name, column in columns.items():
        if value := call.params.text(name):
            query = query.where(column == value)
    if username := call.params.text("username"):
        query = query.join(User, User.id == Pipeline.user_id).where(User.username == username)
    if call.params.text("scope") == "running":
        query = query.where(Pipeline.status == "running")
    ascending = call.params.text("sort") == "asc"
    query = query.order_by(Pipeline.id.asc() if ascending else Pipeline.id.desc())
    return call.rows(query, lambda row: pipeline_basic(call.instance, call.project, row))


def show(call: Call) -> Wire:
    return _entity(call, call.pipeline())


def latest(call: Call) -> Wire:
    sha = call.commit(call.params.text("ref") or call.project.default_branch)
    query = select(Pipeline).where(Pipeline.project_id == call.project.id, Pipeline.sha == sha)
    pipeline = call.session.scalar(query.order_by(Pipeline.id.desc()).limit(1))
    if pipeline is None:
        raise not_found()
    return _entity(call, pipeline)


def _variables(call: Call) -> dict[str, str]:
    sent: Any = call.params.values.get("variables") or []
    items = list(sent.values()) if isinstance(sent, dict) else sent
    if not isinstance(items, list) or not all(isinstance(i, dict) and isinstance(i.get("key"), str) for i in items):
        raise Refused(400, {"error": "variables is invalid"})
    return {item["key"]: str(item.get("value", "")) for item in items}


def create(call: Call) -> Wire:
    call.need(access.DEVELOPER)
    ref = call.params.required("ref")
    tag = call.repository.branch(ref) is None
    sha = call.repository.resolve(ref)
    if sha is None:
        raise Refused(400, {"message": {"base": ["Reference not found"]}})
    if config_at(call.instance, call.project, sha) is None:
        raise Refused(400, {"message": {"base": ["Missing CI config file"]}})
    pipeline = create_pipeline(
        call.instance,
        call.session,
        call.project,
        call.me,
        ref=ref,
        sha=sha,
        source="api",
        tag=tag,
        variables=_variables(call),
    )
    if pipeline is None:
        message = (
            "Pipeline will not run for the selected trigger. "
            "The rules configuration prevented any jobs from being added to the pipeline."
        )
        raise Refused(400, {"message": {"base": [message]}})
    if pipeline.yaml_errors:
        raise Refused(400, {"message": {"base": [pipeline.yaml_errors]}})
    return _entity(call, pipeline)


def retry(call: Call) -> Wire:
    call.need(access.DEVELOPER)
    pipeline = call.pipeline()
    for job in jobs_of(call.session, pipeline):
        if job.status in {"failed", "canceled"} and not job.external:
            retry_job(call.instance, call.session, job, call.me)
    advance(call.instance, call.session, pipeline)
    return _entity(call, pipeline)


def stop(call: Call) -> Answer:
    call.need(access.DEVELOPER)
    pipeline = call.pipeline()
    cancel(call.instance, call.session, pipeline, jobs_of(call.session, pipeline))
    return Answer(_entity(call, pipeline), status=200)


def delete(call: Call) -> Answer:
    call.need(access.OWNER)
    call.session.delete(call.pipeline())
    return Answer(status=204)


def variables(call: Call) -> list[Wire]:
    call.need(access.MAINTAINER)
    return [
        {"variable_type": "env_var", "key": key, "value": value, "raw": False}
        for key, value in call.pipeline().variables.items()
    ]


def _lint(call: Call, text: str) -> Wire:
    result: Wire = {"valid": False, "errors": [], "warnings": [], "merged_yaml": None, "includes": [], "jobs": []}
    try:
        config = read_config(text)
    except InvalidConfig as error:
        return result | {"errors": error.errors}
    result |= {
        "valid": True,
        "warnings": config.warnings,
        "merged_yaml": yaml.safe_dump(config.merged, sort_keys=False),
    }
    jobs = [
        {
            "name": job.name,
            "stage": job.stage,
            "script": list(job.script),
            "after_script": list(job.after_script),
            "when": job.when,
            "allow_failure": bool(job.allow_failure),
        }
        for job in config.jobs
    ]
    if not call.params.flag("dry_run"):
        return result | {"jobs": jobs}
    ref = call.params.text("ref") or call.project.default_branch
    commit = call.repository.commit(call.commit(ref))
    try:
        chosen = select_jobs(config, predefined(call.instance, call.project, commit, ref=ref, source="push"))
    except BadExpression as error:
        return result | {"valid": False, "errors": [str(error)]}
    names = {job.config.name for job in chosen}
    return result | {"jobs": [job for job in jobs if job["name"] in names]}


def lint(call: Call) -> Answer:
    call.need(access.DEVELOPER)
    return Answer(_lint(call, call.params.required("content")), status=200)


def lint_committed(call: Call) -> Wire:
    sha = call.commit(call.params.text("content_ref") or call.params.text("sha") or call.project.default_branch)
    text = config_at(call.instance, call.project, sha)
    if text is None:
        return {"valid": False, "errors": ["Please provide content of .gitlab-ci.yml"], "warnings": []}
    return _lint(call, text)


ROUTES = [
    Route("GET", "/projects/:id/pipelines", index),
    Route("POST", "/projects/:id/pipeline", create),
    Route("GET", "/projects/:id/pipelines/latest", latest),
    Route("GET", "/projects/:id/pipelines/:pipeline_id", show),
    Route("DELETE", "/projects/:id/pipelines/:pipeline_id", delete),
    Route("POST", "/projects/:id/pipelines/:pipeline_id/retry", retry),
    Route("POST", "/projects/:id/pipelines/:pipeline_id/cancel", stop),
    Route("GET", "/projects/:id/pipelines/:pipeline_id/variables", variables),
    Route("POST", "/projects/:id/ci/lint", lint),
    Route("GET", "/projects/:id/ci/lint", lint_committed),
]
