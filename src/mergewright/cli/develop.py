"""`mergewright develop`: an issue becomes a draft merge request."""

from pathlib import Path

import click

from mergewright.cli import options


@click.command()
@click.argument("subject", metavar="ISSUE")
@click.option("--approve-plan", is_flag=True, help="Wait for a person's yes to the plan before anything is written.")
@options.gitlab_url
@options.model
@options.record
@options.as_json
def develop(
    subject: str, *, approve_plan: bool, gitlab_url: str, model: str, record: Path | None, as_json: bool
) -> None:
    """Turn an issue into a draft merge request that is linked to it.

    ISSUE is written as GitLab does: group/project#7

    Exit code 0 when the merge request is there and its checks pass, 1 when it failed, 2 on wrong use, 3 when the
    session waits for a person.
    """
    from mergewright.cli.work import work
    from mergewright.domain.session import Subject

    issue = Subject.parse(subject)
    settings = options.settings_with(model=model, gitlab_url=gitlab_url)
    work(settings, lambda runtime: runtime.start(issue, approve_plan=approve_plan), record=record, as_json=as_json)
