"""`mergewright serve`: the local forge, with one's own repositories on it."""

import sys
from pathlib import Path

import click

from mergewright.cli import options
from mergewright.cli.output import print_json

PORT = 8929


@click.command()
@click.option(
    "--local",
    required=True,
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="An existing git repository to put on the forge; may be given again.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Where it listens; 0 takes a free one.",
)
@options.as_json
def serve(*, local: tuple[Path, ...], port: int, as_json: bool) -> None:
    """Run the local forge on this machine until it is interrupted.

    Each repository becomes the project `local/NAME`; the repository itself is never changed.
    """
    from mergewright.app.local import (
        add_repository,
        alone,
        find_repository,
        introduce,
        open_local_forge,
        said_plainly,
    )
    from mergewright.app.settings import read_settings

    settings = read_settings()
    repositories = [find_repository(path) for path in local]
    with alone(settings):
        forge = open_local_forge(settings, port=port)
        with said_plainly():
            forge.start()
        try:
            connection = introduce(forge, settings)
            projects = [add_repository(forge, path, person=connection.person) for path in repositories]
            if as_json:
                print_json(
                    {"forge_url": forge.url, "projects": projects, "person": connection.person, "bot": connection.bot}
                )
            else:
                tell(forge.url, projects)
            wait_for_the_end()
        finally:
            forge.stop()


def tell(url: str, projects: list[str]) -> None:
    """Say where the forge is and what to do next."""
    print(f"The local forge runs at {url}")
    for project in projects:
        print(f"  {url}/{project}")
    print("In another terminal:")
    print(f'  mergewright issue {projects[0]} --title "…" --file issue.md')
    print(f"  mergewright develop {projects[0]}#1")
    print("Ctrl-C ends it; everything is kept.", flush=True)


def wait_for_the_end() -> None:
    """Return when the process is interrupted or told to end."""
    import signal
    import threading

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    print("ended", file=sys.stderr)
