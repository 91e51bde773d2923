"""Opens the draft merge request before any code is written, with the plan and linked to its issue, if any."""

from collections.abc import Mapping

from mergewright import git
from mergewright.domain.errors import Conflict, Forbidden, ForgeError, MergewrightError
from mergewright.domain.forge import Remote
from mergewright.domain.plain import title as plain_title
from mergewright.domain.session import JSON, Plan, Task
from mergewright.flows.description import Facts, describe
from mergewright.flows.repository import clone_of, identity
from mergewright.flows.steps.notes import signature
from mergewright.flows.world import Done, Work, given

MOST_BRANCHES = 20


async def step(work: Work, arguments: Mapping[str, JSON]) -> Done:
    """Give the merge request and the commit that it starts from; what is there already is used again.

    A session that works on a merge request goes on with that one.
    """
    workspace = given(arguments, "workspace", "open_merge_request")
    plan = given(arguments, "plan", "open_merge_request")
    forge = work.world.forge
    subject = work.session.subject
    if subject.kind == "!":
        found = await forge.merge_request(subject.project, subject.iid)
        facts = {"branch": workspace["branch"], "base": workspace["base"]}
        return Done({"iid": found.iid, "web_url": found.web_url, **facts})
    repository = clone_of(work.workspace)
    remote = await forge.remote(subject.project)
    base: str = workspace["base"] or await _first_commit(work, repository, remote, workspace["target_branch"])
    branch = await _begin_branch(repository, remote, workspace["branch"], base)
    await work.wrote("push", branch=branch, sha=base)
    changed = arguments.get("changed") or {}
    tasks = Plan(tuple(Task(str(text)) for text in changed.get("tasks") or plan.get("tasks") or ()))
    merge_request = await forge.open_merge_request(
        subject.project,
        source_branch=branch,
        target_branch=workspace["target_branch"],
        title=f"Draft: {plain_title(plan.get('title') or given(arguments, 'title', 'open_merge_request'))}",
        description=describe(
            Facts(
                issue=subject.iid,
                goal="" if subject.iid else work.session.goal,
                summary=str(plan.get("summary") or ""),
                plan=tasks,
                changed_by=str(changed.get("by") or ""),
                signature=signature(work),
            )
        ),
    )
    await work.wrote(
        "open_merge_request", subject=f"{subject.project}!{merge_request.iid}", web_url=merge_request.web_url
    )
    return Done({"iid": merge_request.iid, "web_url": merge_request.web_url, "branch": branch, "base": base})


async def _begin_branch(repository: git.Repository, remote: Remote, wanted: str, base: str) -> str:
    """Take the first name that is free or stands at our base: a branch with somebody's work on it is left alone."""
    for number in range(1, MOST_BRANCHES + 1):
        name = wanted if number == 1 else f"{wanted}-{number}"
        try:
            await repository.push(remote, source=base, branch=name, expect=None)
            return name
        except Conflict:
            if await git.remote_head(remote, name) in {None, base}:
                raise
    raise Conflict(
        f"the branches `{wanted}` to `{wanted}-{MOST_BRANCHES}` all exist", hint="delete those that are done with"
    )


async def _first_commit(work: Work, repository: git.Repository, remote: Remote, branch: str) -> str:
    """Give an empty repository the commit without which there is nothing to merge into."""
    sha = await repository.head()
    if sha is None:
        name = work.session.subject.project.rpartition("/")[2]
        await work.sandbox().write("README.md", f"# {name}\n".encode())
        status = await work.world.forge.status()
        sha = await repository.commit_all("Begin the project\n", author=identity(status), when=int(work.world.clock()))
    if sha is None:
        raise MergewrightError("the first commit could not be made: `README.md` is ignored")
    try:
        await repository.push(remote, source=sha, branch=branch, expect=None)
    except Forbidden as error:
        raise Forbidden(
            f"the repository is empty and its first commit on `{branch}` was refused: {error.message}",
            hint="make the first commit yourself, or give the token's owner the Maintainer role for it",
        ) from error
    except Conflict as error:
        raise ForgeError(
            f"the repository was empty and is no longer: {error.message}", hint="start a new session"
        ) from error
    await work.wrote("push", branch=branch, sha=sha)
    return sha
