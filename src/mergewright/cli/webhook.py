"""`mergewright webhook`: let a project of a GitLab tell the server what happens."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

from mergewright.cli import options
from mergewright.cli.output import print_json, say

if TYPE_CHECKING:
    from mergewright.app.installing import Step
    from mergewright.app.settings import Settings
    from mergewright.gitlab.hooking import Maintenance

_url = click.option("--url", metavar="URL", default="", help="The server's public address. [env: MERGEWRIGHT_URL]")
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and write nothing.")
Planning = Callable[["Settings", "Maintenance", str], Awaitable["Sequence[Step]"]]


@click.group()
def webhook() -> None:
    """Set a project of a GitLab up for the server, or take that back."""


@webhook.command(short_help="Set a project up for the server.")
@click.argument("project", metavar="PROJECT")
@_url
@_dry_run
@options.gitlab_url
@options.as_json
def install(project: str, *, url: str, dry_run: bool, gitlab_url: str, as_json: bool) -> None:
    """Make or mend the project's webhook, make the bots its members, and make the label that asks for work.

    It looks first and says what it makes, changes and leaves. It takes a token of a Maintainer, in
    MERGEWRIGHT_MAINTAINER_TOKEN or GITLAB_TOKEN. Exit code 1 when something could not be done.
    """

    async def planned(settings: "Settings", forge: "Maintenance", target: str) -> "Sequence[Step]":
        from mergewright.app.installing import plan

        return await plan(settings, forge, project, target)

    _run(planned, project, url=url, dry_run=dry_run, gitlab_url=gitlab_url, as_json=as_json)


@webhook.command(short_help="Remove the server's webhook from a project.")
@click.argument("project", metavar="PROJECT")
@_url
@_dry_run
@options.gitlab_url
@options.as_json
def remove(project: str, *, url: str, dry_run: bool, gitlab_url: str, as_json: bool) -> None:
    """Remove the project's webhooks that lead to the server; members and labels stay."""

    async def planned(settings: "Settings", forge: "Maintenance", target: str) -> "Sequence[Step]":
        from mergewright.app.installing import plan_removal

        return await plan_removal(forge, project, target)

    _run(planned, project, url=url, dry_run=dry_run, gitlab_url=gitlab_url, as_json=as_json)


def _run(planned: Planning, project: str, *, url: str, dry_run: bool, gitlab_url: str, as_json: bool) -> None:
    import asyncio

    from mergewright.app.installing import address, carry, open_maintenance

    settings = options.settings_with(gitlab_url=gitlab_url)
    target = address(settings, url)

    async def run() -> "Sequence[Step]":
        forge = open_maintenance(settings)
        try:
            steps = await planned(settings, forge, target)
            return steps if dry_run else await carry(steps)
        finally:
            forge.close()

    steps = asyncio.run(run())
    if as_json:
        told = [{"action": one.action, "what": one.what, "hint": one.hint} for one in steps]
        print_json({"project": project, "url": target, "dry_run": dry_run, "steps": told})
    for one in steps if not as_json else ():
        say(f"{'would ' if dry_run and one.do else ''}{one.action:<7} {one.what}")
        if one.hint:
            say(f"        hint: {one.hint}")
    sys.exit(1 if any(one.action == "cannot" for one in steps) else 0)
