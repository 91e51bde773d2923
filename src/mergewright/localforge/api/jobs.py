"""Jobs and their traces."""

from sqlalchemy import select

from mergewright.localforge import access
from mergewright.localforge.call import Answer, Call, Wire
from mergewright.localforge.ci.pipelines import ENDED, advance, cancel, retry_job
from mergewright.localforge.ci.runner import read_trace
from mergewright.localforge.clock import now
from mergewright.localforge.errors import Refused, forbidden
from mergewright.localforge.router import Route
from mergewright.localforge.tables import Job
from mergewright.localforge.wire.ci import job_wire


def _entity(call: Call, job: Job) -> Wire:
    return job_wire(call.instance, call.project, job, call.repository.commit(job.pipeline.sha))


def _listed(call: Call, pipeline_id: int | None) -> Answer:
    call.need_code()
    query = select(Job).where(Job.project_id == call.project.id, Job.external.is_(False)).order_by(Job.id.desc())
    if pipeline_id is not None:
        query = query.where(Job.pipeline_id == pipeline_id)
        if not call.params.flag("include_retried"):
            query = query.where(Job.retried.is_(False))
    if scope := call.params.texts("scope"):
        query = query.where(Job.status.in_(scope))
    return call.rows(query, lambda job: _entity(call, job))


def index(call: Call) -> Answer:
    return _listed(call, None)


def of_pipeline(call: Call) -> Answer:
    return _listed(call, call.pipeline().id)


def show(call: Call) -> Wire:
    return _entity(call, call.job())


def trace(call: Call) -> Answer:
    return Answer(read_trace(call.instance, call.job()), media_type="text/plain")


def retry(call: Call) -> Wire:
    call.need(access.DEVELOPER)
    job = call.job()
    if job.status not in ENDED or job.retried or job.external:
        raise forbidden("Job is not retryable")
    return _entity(call, retry_job(call.instance, call.session, job, call.me))


def stop(call: Call) -> Wire:
    call.need(access.DEVELOPER)
    job = call.job()
    cancel(call.instance, call.session, job.pipeline, [job])
    return _entity(call, job)


def play(call: Call) -> Answer:
    """Start a job that waits for a person."""
    call.need(access.DEVELOPER)
    job = call.job()
    if job.status != "manual":
        raise Refused(400, {"message": "400 Bad request - Unplayable Job"})
    job.status, job.queued_at = "pending", now()
    advance(call.instance, call.session, job.pipeline)
    return Answer(_entity(call, job), status=200)


ROUTES = [
    Route("GET", "/projects/:id/jobs", index),
    Route("GET", "/projects/:id/pipelines/:pipeline_id/jobs", of_pipeline),
    Route("GET", "/projects/:id/jobs/:job_id", show),
    Route("GET", "/projects/:id/jobs/:job_id/trace", trace),
    Route("POST", "/projects/:id/jobs/:job_id/retry", retry),
    Route("POST", "/projects/:id/jobs/:job_id/cancel", stop),
    Route("POST", "/projects/:id/jobs/:job_id/play", play),
]
