"""Commits what the agent changed and pushes it, outside the sandbox."""

from collections.abc import Mapping

from mergewright.domain.plain import clip, commit_message
from mergewright.domain.plain import title as plain_title
from mergewright.domain.session import JSON
from mergewright.flows.repository import clone_of, identity, numbers
from mergewright.flows.world import Done, Work, given


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give the commit at which the branch stands now; without a change it stays where it was.

    Given the `verdict`, a merge request that was there before is left as it is by a change that does not hold.
    """
    merge_request = given(arguments, "merge_request", "commit_and_push")
    base, branch = merge_request["base"], merge_request["branch"]
    if work.session.subject.kind == "!" and arguments.get("verdict") not in {None, "passed"}:
        return Done({"sha": base, "pushed": False, "pipeline_expected": False, "files": []})
    forge = work.world.forge
    repository = clone_of(work.workspace)
    status = await forge.status()
    text = message(str(arguments.get("summary") or ""), str(arguments.get("title") or ""))
    trailers = f"Mergewright-Session: {work.session.id}\nMergewright-For: {work.session.actor}"
    made = await repository.commit_all(f"{text}\n\n{trailers}\n", author=identity(status), when=int(work.world.clock()))
    # Nothing to commit also means: committed already, by a run that was killed before it pushed.
    sha = made or await repository.head() or base
    remote = await forge.remote(work.session.subject.project)
    await repository.push(remote, source=sha, branch=branch, expect=base)
    if sha != base:
        await work.wrote("push", branch=branch, sha=sha)
    return Done(
        {
            "sha": sha,
            "pushed": sha != base,
            "pipeline_expected": await repository.show_file(sha, ".gitlab-ci.yml") is not None,
            "files": [
                {"path": one.path, "added": one.added, "removed": one.removed}
                for one in numbers(await repository.diff(base, tree=sha))
            ],
        }
    )


def message(summary: str, title: str) -> str:
    """Make the commit's message from the agent's summary: a subject of one line, then the rest."""
    plain = commit_message(summary)
    subject, _, body = plain.partition("\n")
    subject = subject.strip("#*`- ").rstrip(".")
    if not subject:
        return plain_title(commit_message(title), most=72)
    if len(subject) > 72:
        return f"{plain_title(commit_message(title), most=72)}\n\n{plain}"
    return f"{clip(subject, 72)}\n\n{body.strip()}".strip()
