"""`mergewright run`: any goal on a project or on a merge request."""

from pathlib import Path

import click

from mergewright.cli import options


@click.command(short_help="Work towards a goal on a project or a merge request.")
@click.argument("goal", metavar="GOAL")
@click.option("--project", metavar="PROJECT", default="", help="The project: group/project")
@click.option("--merge-request", metavar="MERGE_REQUEST", default="", help="Or the merge request: group/project!12")
@click.option("--approve-plan", is_flag=True, help="Wait for a person's yes to the plan before anything is written.")
@click.option(
    "--privilege",
    "privileges",
    metavar="NAME",
    multiple=True,
    help="One of GitLab's agent privileges, such as run_commands; may be repeated. All, unless some are named.",
)
@options.gitlab_url
@options.model
@options.record
@options.as_json
def run(
    goal: str,
    *,
    project: str,
    merge_request: str,
    approve_plan: bool,
    privileges: tuple[str, ...],
    gitlab_url: str,
    model: str,
    record: Path | None,
    as_json: bool,
) -> None:
    """Work towards a goal on a project or on a merge request.

    GOAL says in your words what is wanted, as in "write tests for the parser", "fix the failed pipeline" or "what
    does this merge request change?". A change comes as a draft merge request, or as commits on the branch of the one
    that is named; a question is answered.

    Exit code 0 when the goal was worked on and the checks pass, 1 when it failed, 2 on wrong use, 3 when the session
    waits for a person.
    """
    from mergewright.cli.work import work
    from mergewright.domain.errors import WrongUse
    from mergewright.domain.session import Subject

    if bool(project) == bool(merge_request):
        raise WrongUse("a goal needs one place", hint="name --project or --merge-request")
    if project and set(project) & {"#", "!"}:
        raise WrongUse(f"`{project}` is no project", hint="write it as in `group/project`")
    subject = Subject.parse(merge_request) if merge_request else Subject(project, "", 0)
    settings = options.settings_with(model=model, gitlab_url=gitlab_url)
    work(
        settings,
        lambda runtime: runtime.start_goal(subject, goal, approve_plan=approve_plan, privileges=privileges),
        record=record,
        as_json=as_json,
    )
