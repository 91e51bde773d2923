"""`mergewright develop`: an issue becomes a draft merge request."""

from typing import Annotated

import typer

from mergewright.cli.options import AsJson, GitlabUrl, ModelName, Record, settings_with


def develop(
    subject: Annotated[str, typer.Argument(help="The issue, as GitLab writes it: group/project#7")],
    gitlab_url: GitlabUrl = "",
    model: ModelName = "",
    record: Record = None,
    approve_plan: Annotated[
        bool, typer.Option("--approve-plan", help="Wait for a person's yes to the plan before anything is written.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Turn an issue into a draft merge request that is linked to it.

    Exit code 0 when the merge request is there and its checks pass, 1 when it failed, 2 on wrong use,
    3 when the session waits for a person.
    """
    from mergewright.cli.work import work
    from mergewright.domain.session import Subject

    issue = Subject.parse(subject)
    settings = settings_with(model=model, gitlab_url=gitlab_url)
    work(settings, lambda runtime: runtime.start(issue, approve_plan=approve_plan), record=record, as_json=as_json)
