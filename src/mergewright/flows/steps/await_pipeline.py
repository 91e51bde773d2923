"""Waits for the pipeline of the pushed commit, with bounded patience."""

from collections.abc import Mapping

from mergewright.domain.session import JSON
from mergewright.flows.world import Done, Work, given

SHORTEST, LONGEST = 0.2, 10.0
"""Seconds between two looks: soon at first, then ever less often."""


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give the pipeline's status: `none` when there is none, or where it stood when patience ended."""
    sha = given(arguments, "sha", "await_pipeline")
    world = work.world
    project = work.session.subject.project
    settings = world.settings
    grace = settings.pipeline_grace if arguments.get("expected") else 0.0
    started, wait = world.clock(), SHORTEST
    told = False
    while True:
        found = await world.forge.pipelines(project, sha=sha)
        waited = world.clock() - started
        if found and (found[0].ended or waited >= settings.pipeline_patience):
            break
        if not found and waited >= grace:
            return Done({"status": "none", "ended": True})
        if found and not told:
            await work.say(f"waiting for pipeline {found[0].id}")
            told = True
        await world.sleep(wait)
        wait = min(wait * 1.5, LONGEST)
    pipeline = found[0]
    jobs = await world.forge.jobs(project, pipeline.id)
    return Done(
        {
            "status": pipeline.status,
            "ended": pipeline.ended,
            "id": pipeline.id,
            "web_url": pipeline.web_url,
            "failed_jobs": [job.name for job in jobs if job.status == "failed"],
        }
    )
