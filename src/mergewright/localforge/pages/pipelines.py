"""Pages of pipelines and their jobs."""

from itertools import groupby

from sqlalchemy import select

from mergewright.localforge import access
from mergewright.localforge.ci.pipelines import ENDED, LIVE, jobs_of
from mergewright.localforge.ci.runner import read_trace
from mergewright.localforge.pages.visit import Shown, Visit
from mergewright.localforge.tables import Job, MergeRequest, Pipeline

LISTED = 30
SHOWN_TRACE = 200_000
"""Bytes of a job's log on its page; the raw one has them all."""


def index(seen: Visit) -> Shown:
    seen.call.need_code()
    rows = select(Pipeline).where(Pipeline.project_id == seen.project.id).order_by(Pipeline.id.desc())
    found = list(seen.session.scalars(rows.offset((seen.page - 1) * LISTED).limit(LISTED + 1)))
    values = {"rows": found[:LISTED], "more": len(found) > LISTED, "commits": titles(seen, found[:LISTED])}
    values |= {"may_run": seen.may(access.DEVELOPER), "live": any(row.status in LIVE for row in found)}
    values["branches"] = list(seen.call.repository.refs())
    return "pipelines.html", {"title": "Pipelines", "section": "pipelines"} | values


def titles(seen: Visit, rows: list[Pipeline]) -> dict[str, str]:
    """The titles of the commits that pipelines run on."""
    known = {row.sha for row in rows if seen.call.repository.resolve(row.sha)}
    return {sha: seen.call.repository.commit(sha).title for sha in known}


def show(seen: Visit) -> Shown:
    row = seen.call.pipeline()
    found = sorted(jobs_of(seen.session, row), key=lambda job: job.id)
    order = {name: number for number, name in enumerate(row.stages)}
    found.sort(key=lambda job: order.get(job.stage, len(order)))
    stages = [(stage, list(jobs)) for stage, jobs in groupby(found, key=lambda job: job.stage)]
    may = seen.may(access.DEVELOPER)
    merge_request = seen.session.get(MergeRequest, row.merge_request_id) if row.merge_request_id else None
    values = {
        "pipeline": row,
        "stages": stages,
        "commits": titles(seen, [row]),
        "merge_request": merge_request,
        "runs_jobs": seen.instance.runs_jobs,
        "may_retry": may and any(job.status in {"failed", "canceled"} and not job.external for job in found),
        "may_cancel": may and row.status in LIVE,
        "may_fix": bool(seen.instance.agents_url) and may and row.status == "failed",
        "live": row.status in LIVE,
    }
    return "pipeline.html", {"title": f"Pipeline #{row.id}", "section": "pipelines"} | values


def jobs(seen: Visit) -> Shown:
    seen.call.need_code()
    rows = select(Job).where(Job.project_id == seen.project.id).order_by(Job.id.desc())
    found = list(seen.session.scalars(rows.offset((seen.page - 1) * LISTED).limit(LISTED + 1)))
    values = {"rows": found[:LISTED], "more": len(found) > LISTED, "live": any(row.status in LIVE for row in found)}
    return "jobs.html", {"title": "Jobs", "section": "jobs"} | values


def job(seen: Visit) -> Shown:
    row = seen.call.job()
    whole = read_trace(seen.instance, row)
    lines = whole[-SHOWN_TRACE:].decode("utf-8", "replace").splitlines()
    may = seen.may(access.DEVELOPER) and not row.external
    values = {
        "job": row,
        "lines": lines,
        "left_out": len(whole) > SHOWN_TRACE,
        "may_retry": may and row.status in ENDED and not row.retried and row.status != "skipped",
        "may_cancel": may and row.status in LIVE,
        "may_play": may and row.status == "manual",
        "live": row.status in LIVE,
    }
    return "job.html", {"title": f"{row.name} (#{row.id})", "section": "jobs"} | values
