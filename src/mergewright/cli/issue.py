"""`mergewright issue`: open an issue, for forges that one reaches only by their API."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mergewright.cli import options
from mergewright.cli.output import print_json

if TYPE_CHECKING:
    from mergewright.app.settings import Settings
    from mergewright.domain.forge import Issue


@click.command()
@click.argument("project", metavar="PROJECT")
@click.option("--title", required=True, help="The issue's title.")
@click.option(
    "--file",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="A Markdown file with its description; - for standard input.",
)
@options.gitlab_url
@options.as_json
def issue(project: str, *, title: str, file: Path, gitlab_url: str, as_json: bool) -> None:
    """Open an issue and print its reference.

    PROJECT is its path: group/project
    """
    import asyncio

    description = options.read_text(file)
    opened = asyncio.run(_open(options.settings_with(gitlab_url=gitlab_url), project, title, description))
    reference = f"{opened.project}#{opened.iid}"
    if as_json:
        print_json({"iid": opened.iid, "reference": reference, "title": opened.title, "web_url": opened.web_url})
    else:
        print(f"{reference}  {opened.web_url}")


async def _open(settings: "Settings", project: str, title: str, description: str) -> "Issue":
    from mergewright.app.connect import connect, reach

    forge = connect(settings, role="person")
    await reach(settings, forge)
    return await forge.open_issue(project, title=title, description=description)
