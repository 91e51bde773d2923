"""`mergewright develop`: an issue becomes a draft merge request, and feedback becomes commits on its branch."""

from pathlib import Path

import click

from mergewright.cli import options


@click.command()
@click.argument("subject", metavar="ISSUE|MERGE_REQUEST")
@click.option("--discussion", metavar="ID", default="", help="Of a merge request, only this thread.")
@click.option("--approve-plan", is_flag=True, help="Wait for a person's yes to the plan before anything is written.")
@options.gitlab_url
@options.model
@options.record
@options.as_json
def develop(
    subject: str,
    *,
    discussion: str,
    approve_plan: bool,
    gitlab_url: str,
    model: str,
    record: Path | None,
    as_json: bool,
) -> None:
    """Turn an issue into a draft merge request, or work review feedback into one.

    An issue is written as GitLab does: group/project#7. A merge request, whose open threads are worked in on its own
    branch: group/project!12

    Exit code 0 when the merge request is there and its checks pass, 1 when it failed, 2 on wrong use, 3 when the
    session waits for a person.
    """
    from mergewright.app.runtime import Runtime
    from mergewright.cli.work import work
    from mergewright.domain.errors import WrongUse
    from mergewright.domain.session import Session, Subject

    named = Subject.parse(subject)
    settings = options.settings_with(model=model, gitlab_url=gitlab_url)
    if named.kind == "#" and discussion:
        raise WrongUse("an issue has no thread to work in", hint="name a merge request with --discussion")
    if named.kind == "!" and approve_plan:
        raise WrongUse("feedback is worked in without a plan", hint="leave --approve-plan out")

    async def start(runtime: Runtime) -> Session:
        if named.kind == "!":
            return await runtime.start_feedback(named, discussion=discussion)
        return await runtime.start(named, approve_plan=approve_plan)

    work(settings, start, record=record, as_json=as_json)
