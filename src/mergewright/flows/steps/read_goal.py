"""Reads what a goal is about: its merge request with threads and failed jobs, and what the goal itself names."""

import re
from collections.abc import Mapping

from mergewright.agent.fence import fence, without_hidden
from mergewright.domain.errors import Forbidden, NotFound, WrongUse
from mergewright.domain.forge import Forge, MergeRequest
from mergewright.domain.plain import clip
from mergewright.domain.plain import title as plain_title
from mergewright.domain.session import JSON, Subject
from mergewright.flows.failed_jobs import failed_jobs, head_pipelines
from mergewright.flows.labels import label
from mergewright.flows.privileges import READ_ONLY_GITLAB, READ_WRITE_FILES, READ_WRITE_GITLAB, privileges_of
from mergewright.flows.steps.read_feedback import check_branch
from mergewright.flows.threads import open_threads
from mergewright.flows.world import Done, Work

MOST_TEXT = 12_000
"""Characters of a description."""
MOST_NAMED = 5
"""Issues and merge requests that a goal names and that are read."""
_NAMED = re.compile(
    r"(?<![\w/&])(?P<project>[\w.-]{1,100}(?:/[\w.-]{1,100}){1,10})?(?P<kind>[#!])(?P<iid>[1-9]\d{0,9})\b"
)


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give the goal, which is an order, and beside it `text`: everything that is data, each part fenced."""
    subject = work.session.subject
    goal = without_hidden(work.session.goal)[0].strip()
    if subject.kind == "#":
        raise WrongUse(f"`{subject}` is an issue", hint="this flow starts from a project or a merge request")
    held = privileges_of(work.session.inputs)
    forge = work.world.forge
    parts: list[str] = []
    why_not = "" if READ_WRITE_FILES in held else "this session may not change files"
    told: dict[str, JSON] = {"kind": "project", "branch": "", "base": "", "sha": ""}
    if subject.kind:
        merge_request = await forge.merge_request(subject.project, subject.iid)
        check_branch(merge_request, str(subject))
        if not await forge.may_push(subject.project, merge_request.source_branch):
            why_not = f"`{(await forge.status()).user.username}` may not push to `{merge_request.source_branch}`"
        parts += await _merge_request(forge, merge_request, subject, discussion=_discussion(work))
        refs = merge_request.diff_refs
        told |= {"kind": "merge_request", "branch": merge_request.source_branch, "sha": merge_request.sha}
        told |= {"base": refs.base_sha if refs else ""}
    if held & {READ_ONLY_GITLAB, READ_WRITE_GITLAB}:
        parts += await _named(forge, subject, goal)
    await work.say(f"read what the goal is about: {subject}")
    return Done(
        told
        | {
            "goal": goal,
            "title": plain_title(goal.split("\n", 1)[0], most=100),
            "text": "\n".join(parts),
            "may_change": not why_not,
            "why_not": why_not,
        }
    )


def _discussion(work: Work) -> str:
    return str(work.session.inputs.get("discussion") or "")


async def _merge_request(forge: Forge, merge_request: MergeRequest, subject: Subject, *, discussion: str) -> list[str]:
    by = label(merge_request.author.username)
    body = f"{merge_request.title}\n\n{clip(merge_request.description, MOST_TEXT)}"
    parts = [
        f"The merge request is {subject}, from the branch {merge_request.source_branch} into"
        f" {merge_request.target_branch}.",
        fence(f"merge request {subject.iid}, by {by}", body),
    ]
    if discussion:
        asked = await open_threads(forge, subject, wanted=discussion)
        parts += ["The goal was set in this thread:", *asked.texts] if asked.texts else []
    threads = await open_threads(forge, subject)
    others = [text for one, text in zip(threads.kept, threads.texts, strict=True) if one.id != discussion]
    parts += ["Its open threads:", *others] if others else []
    for pipeline in (await head_pipelines(forge, merge_request))[:1]:
        failed = await failed_jobs(forge, subject.project, pipeline)
        if failed.names:
            parts += [f"Pipeline {pipeline} of its head has failed jobs:", failed.text]
    return parts


async def _named(forge: Forge, subject: Subject, goal: str) -> list[str]:
    """Read issues and merge requests of the project that the goal names, as far as everybody here may read them."""
    wanted: dict[Subject, None] = {}
    for match in _NAMED.finditer(goal):
        named = Subject(match["project"] or subject.project, match["kind"], int(match["iid"]))
        if named.project == subject.project and named != subject:
            wanted[named] = None
    parts = []
    for named in list(wanted)[:MOST_NAMED]:
        try:
            parts.append(await _one(forge, named))
        except (NotFound, Forbidden):
            parts.append(f"({named}, which the goal names, cannot be read.)")
    return parts


async def _one(forge: Forge, named: Subject) -> str:
    if named.kind == "!":
        change = await forge.merge_request(named.project, named.iid)
        what, by, text = f"merge request {named.iid}", change.author, f"{change.title}\n\n{change.description}"
    else:
        issue = await forge.issue(named.project, named.iid)
        # Who may read a confidential issue is fewer than who may read what a session writes.
        if issue.confidential:
            raise Forbidden(f"`{named}` is confidential")
        what, by, text = f"issue {named.iid}", issue.author, f"{issue.title}\n\n{issue.description}"
    return fence(f"{what}, which the goal names, by {label(by.username)}", clip(text, MOST_TEXT))
