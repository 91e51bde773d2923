"""Commit statuses: what somebody outside says of a commit."""

from sqlalchemy import select

from mergewright.localforge import access
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.ci.pipelines import advance, next_iid
from mergewright.localforge.clock import now
from mergewright.localforge.errors import Refused, not_found
from mergewright.localforge.merging import auto_merge
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Job, Pipeline
from mergewright.localforge.wire.ci import status_wire

STATES = ("pending", "running", "success", "failed", "canceled", "skipped")


def _entity(call: Call, job: Job) -> Wire:
    return status_wire(call.instance, call.project, job)


def index(call: Call) -> Answer:
    sha = call.commit(call.names["sha"])
    query = select(Job).join(Pipeline).where(Pipeline.project_id == call.project.id, Pipeline.sha == sha)
    for name, column in (("ref", Pipeline.ref), ("stage", Job.stage), ("name", Job.name)):
        if value := call.params.text(name):
            query = query.where(column == value)
    if not call.params.flag("all"):
        query = query.where(Job.retried.is_(False))
    return call.rows(query.order_by(Job.id), lambda job: _entity(call, job))


def _ref(call: Call, sha: str) -> str:
    if ref := call.params.text("ref"):
        return ref.removeprefix("refs/heads/")
    containing = list(call.repository.refs(containing=sha))
    preferred = [name for name in containing if call.repository.branch(name) == sha]
    if not containing:
        raise not_found("References for commit")
    return (preferred or containing)[0]


def _pipeline(call: Call, sha: str) -> Pipeline:
    """The pipeline a status belongs to; a commit without any gets one for outside statuses."""
    query = select(Pipeline).where(Pipeline.project_id == call.project.id, Pipeline.sha == sha)
    if wanted := call.params.integer("pipeline_id"):
        found = call.session.scalar(query.where(Pipeline.id == wanted))
        if found is None:
            raise not_found("Pipeline")
        return found
    ref = _ref(call, sha)
    found = call.session.scalar(query.where(Pipeline.ref == ref).order_by(Pipeline.id.desc()).limit(1))
    if found:
        return found
    pipeline = Pipeline(
        iid=next_iid(call.session, call.project),
        project_id=call.project.id,
        sha=sha,
        ref=ref,
        source="external",
        user_id=call.me.id,
        stages=[],
        variables={},
    )
    call.session.add(pipeline)
    call.session.flush()
    return pipeline


def create(call: Call) -> Wire:
    call.need(access.DEVELOPER)
    state = call.params.required("state")
    if state not in STATES:
        raise Refused(400, {"error": "state does not have a valid value"})
    sha = call.commit(call.names["sha"])
    name = call.params.text("name") or call.params.text("context") or "default"
    pipeline = _pipeline(call, sha)
    query = select(Job).where(
        Job.pipeline_id == pipeline.id, Job.name == name, Job.external.is_(True), Job.retried.is_(False)
    )
    job = call.session.scalar(query)
    if job and job.status in {"success", "failed", "canceled"} and job.status != state:
        job.retried, job = True, None
    if job is None:
        job = Job(
            pipeline_id=pipeline.id,
            project_id=call.project.id,
            name=name,
            stage="external",
            external=True,
            user_id=call.me.id,
            status="created",
        )
        call.session.add(job)
    job.status, job.user_id = state, call.me.id
    job.target_url = call.params.text("target_url", job.target_url or "") or None
    job.description = call.params.text("description", job.description or "") or None
    if coverage := call.params.text("coverage"):
        job.coverage = float(coverage) if coverage.replace(".", "", 1).isdecimal() else None
    if state == "running" and job.started_at is None:
        job.started_at = now()
    job.finished_at = now() if state in {"success", "failed", "canceled"} else None
    call.session.flush()
    advance(call.instance, call.session, pipeline)
    auto_merge(call.instance, call.session, pipeline)
    return _entity(call, job)


ROUTES = [
    Route("POST", "/projects/:id/statuses/:sha", create),
    Route("GET", "/projects/:id/repository/commits/:sha/statuses", index),
]
