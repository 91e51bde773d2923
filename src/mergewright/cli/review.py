"""`mergewright review`: findings, a verdict and an approval for a merge request."""

from pathlib import Path

import click

from mergewright.cli import options


@click.command()
@click.argument("subject", metavar="MERGE_REQUEST")
@click.option("--strict", is_flag=True, help="Exit with 1 when changes are requested, as a CI job may want it.")
@options.gitlab_url
@options.model
@options.record
@options.as_json
def review(subject: str, *, strict: bool, gitlab_url: str, model: str, record: Path | None, as_json: bool) -> None:
    """Review a merge request: request changes, verify earlier findings, approve.

    MERGE_REQUEST is written as GitLab does: group/project!12

    `--model none` reviews by analyzers alone.

    Exit code 0 when the review was published, 1 when it failed, 2 on wrong use.
    """
    import asyncio
    import sys

    from mergewright.cli.output import exit_code, hint_next, print_json, summarize_review
    from mergewright.cli.work import run_review
    from mergewright.domain.errors import WrongUse
    from mergewright.domain.session import Subject

    merge_request = Subject.parse(subject)
    if merge_request.kind != "!":
        raise WrongUse(f"`{merge_request}` is an issue", hint="name a merge request: `group/project!12`")
    settings = options.settings_with(model=model, gitlab_url=gitlab_url)
    session, told = asyncio.run(run_review(settings, merge_request, record=record))
    if as_json:
        print_json(told)
    else:
        summarize_review(told)
    hint_next(told)
    refused = strict and told["verdict"] == "requested_changes"
    sys.exit(exit_code(session) or int(refused))
