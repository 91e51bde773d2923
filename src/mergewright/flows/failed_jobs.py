"""What made a pipeline fail, fenced as data: its failed jobs and the end of what each printed, or its configuration."""

from dataclasses import dataclass

from mergewright.agent.fence import fence
from mergewright.agent.filetext import plain
from mergewright.domain.forge import Forge, Job, MergeRequest
from mergewright.flows.labels import label

CONFIGURATION = ".gitlab-ci.yml"
"""Stands for the job that failed where no job could be made."""
MOST_JOBS = 8
MOST_TRACE = 6_000
"""Characters of one job's log: what made it fail stands at its end."""


@dataclass(frozen=True, slots=True)
class FailedJobs:
    """The jobs that made a pipeline fail, and what a model reads of them."""

    pipeline: int
    names: tuple[str, ...]
    text: str


async def failed_jobs(forge: Forge, project: str, pipeline: int) -> FailedJobs:
    """Read the failed jobs, but for those that may fail; without any job, what is wrong with the configuration."""
    jobs = await forge.jobs(project, pipeline)
    if not jobs and (wrong := plain((await forge.pipeline(project, pipeline)).yaml_errors).strip()):
        told = fence("errors of the configuration", wrong[:MOST_TRACE])
        return FailedJobs(pipeline, (CONFIGURATION,), told)
    failed = [job for job in jobs if job.status == "failed" and not job.allow_failure]
    parts = [await _told(forge, project, job) for job in failed[:MOST_JOBS]]
    if len(failed) > MOST_JOBS:
        parts.append(f"({len(failed) - MOST_JOBS} more jobs failed.)")
    return FailedJobs(pipeline, tuple(job.name for job in failed), "\n".join(parts))


async def head_pipelines(forge: Forge, merge_request: MergeRequest) -> tuple[int, ...]:
    """Give the pipelines that speak for a merge request's head, the newest first."""
    found = await forge.pipelines(merge_request.project, sha=merge_request.sha)
    known = {pipeline.id for pipeline in found}
    if merge_request.head_pipeline:
        known.add(merge_request.head_pipeline)
    return tuple(sorted(known, reverse=True))


async def _told(forge: Forge, project: str, job: Job) -> str:
    printed = plain(await forge.job_trace(project, job.id)).strip()
    reason = f", {label(job.failure_reason, most=30)}" if job.failure_reason else ""
    cut = f"[… {len(printed) - MOST_TRACE} characters before]\n" if len(printed) > MOST_TRACE else ""
    return fence(
        f"failed job {label(job.name, most=60)}{reason}", cut + (printed[-MOST_TRACE:] or "(it printed nothing)")
    )
