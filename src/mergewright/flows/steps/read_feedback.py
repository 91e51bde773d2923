"""Reads what is wanted of a merge request: its open threads, or the failed jobs of its pipeline."""

from collections.abc import Mapping

from mergewright.agent.fence import fence
from mergewright.domain.errors import Conflict, Forbidden, WrongUse
from mergewright.domain.forge import MergeRequest
from mergewright.domain.session import JSON
from mergewright.flows.failed_jobs import failed_jobs, head_pipelines
from mergewright.flows.threads import open_threads
from mergewright.flows.world import Done, Work


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give the branch, what is to be worked in, and the threads to answer."""
    subject = work.session.subject
    if subject.kind != "!":
        raise WrongUse(f"`{subject}` is no merge request", hint="this flow starts from one, written `group/project!7`")
    forge = work.world.forge
    merge_request = await forge.merge_request(subject.project, subject.iid)
    check_branch(merge_request, str(subject))
    begin = [
        f"The merge request is {subject}, from the branch {merge_request.source_branch}.",
        fence(f"title of merge request {subject.iid}", merge_request.title),
    ]
    told = {"title": merge_request.title, "branch": merge_request.source_branch, "sha": merge_request.sha}
    if pipeline := int(arguments.get("pipeline") or 0):
        return Done(told | await _pipeline(work, merge_request, pipeline, begin))
    wanted = str(arguments.get("discussion") or "")
    threads = await open_threads(forge, subject, wanted=wanted)
    if not threads.kept:
        strangers = f"; {threads.found} are by people who are no developers of the project" if threads.found else ""
        raise Conflict(f"no open thread on `{subject}` asks for a change{strangers}", hint="open a thread on the diff")
    parts = [*begin, *threads.texts]
    if threads.later:
        parts.append(f"({threads.later} more threads are left for later.)")
    await work.say(f"read {len(threads.kept)} open threads of {subject}")
    return Done(
        {
            **told,
            "text": "\n".join(parts),
            "threads": [
                {
                    "number": number,
                    "discussion": thread.id,
                    "by": thread.notes[0].author.username,
                    "bot": thread.notes[0].author.bot,
                    "wanted": bool(wanted),
                }
                for number, thread in enumerate(threads.kept, start=1)
            ],
            "left_out": threads.found - len(threads.kept),
        }
    )


def check_branch(merge_request: MergeRequest, name: str) -> None:
    """Raise where a session could not push to a merge request's branch."""
    if merge_request.state != "opened":
        raise Conflict(f"`{name}` is {merge_request.state}", hint="reopen it if there is still something to do")
    if merge_request.source_project:
        raise Forbidden(
            f"the branch of `{name}` lies in a fork, where this session may not push",
            hint="its author can work the feedback in, or open the merge request from a branch of the project",
        )


async def _pipeline(work: Work, merge_request: MergeRequest, pipeline: int, begin: list[str]) -> dict[str, JSON]:
    forge, subject = work.world.forge, work.session.subject
    if pipeline not in await head_pipelines(forge, merge_request):
        raise Conflict(
            f"pipeline {pipeline} does not speak for the head of `{subject}`", hint="it has newer commits: look there"
        )
    failed = await failed_jobs(forge, subject.project, pipeline)
    if not failed.names:
        raise Conflict(f"no job of pipeline {pipeline} has failed", hint="retry it, or wait until it has ended")
    await work.say(f"read what failed in pipeline {pipeline}: {', '.join(failed.names)}")
    text = "\n".join([*begin, f"Pipeline {pipeline} of its head failed. There are no threads.", failed.text])
    return {"text": text, "threads": [], "left_out": 0, "pipeline": {"id": pipeline, "jobs": list(failed.names)}}
