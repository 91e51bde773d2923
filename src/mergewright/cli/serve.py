"""`mergewright serve`: webhooks, REST and the work they ask for; with a local forge where one is wanted."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mergewright.cli import options
from mergewright.cli.output import print_json

if TYPE_CHECKING:
    from mergewright.app.settings import Settings
    from mergewright.localforge.server import LocalForge
    from mergewright.server.serving import Server

PORT = 8929
API_PORT = 8930


@click.command()
@click.option(
    "--local",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="An existing git repository to put on a local forge; may be given again.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="Where the local forge listens; 0 takes a free one.",
)
@click.option(
    "--api-port",
    type=click.IntRange(0, 65535),
    default=API_PORT,
    show_default=True,
    help="Where webhooks and REST are taken; 0 takes a free one.",
)
@click.option("--no-worker", is_flag=True, help="Take webhooks and REST, but leave the work to another process.")
@options.model
@options.as_json
def serve(*, local: tuple[Path, ...], port: int, api_port: int, no_worker: bool, model: str, as_json: bool) -> None:
    """Take GitLab's webhooks and REST, and review what they ask for, until interrupted.

    With --local a forge of one's own runs beside it: each repository becomes the project `local/NAME`; the repository
    itself is never changed. Without, it serves the GitLab that is set.
    """
    from mergewright.app.logs import begin_logs

    settings = options.settings_with(model=model)
    begin_logs(settings)
    if local:
        _serve_local(settings, local, port=port, api_port=api_port, worker=not no_worker, as_json=as_json)
    else:
        _serve_gitlab(settings, api_port=api_port, worker=not no_worker, as_json=as_json)


def _serve_gitlab(settings: "Settings", *, api_port: int, worker: bool, as_json: bool) -> None:
    from mergewright.app.webhooks import WEBHOOK
    from mergewright.domain.errors import WrongUse
    from mergewright.server.serving import Server

    if not settings.gitlab_url:
        raise WrongUse("no forge is set", hint="name a repository with --local, or set GITLAB_URL and GITLAB_TOKEN")
    server = Server(settings, port=api_port, worker=worker)
    server.start()
    try:
        server.wait()
        with until_the_end():
            if as_json:
                print_json({"url": server.url, "forge_url": settings.gitlab_url})
            else:
                print(f"Webhooks of {settings.gitlab_url} are taken at {server.url}{WEBHOOK}", flush=True)
                print(f"Their token is in {settings.home / 'webhook.token'}, unless MERGEWRIGHT_WEBHOOK_TOKEN is set.")
                print("Ctrl-C ends it; what waits is done at the next start.", flush=True)
    finally:
        server.stop()


def _serve_local(
    settings: "Settings", local: tuple[Path, ...], *, port: int, api_port: int, worker: bool, as_json: bool
) -> None:
    from mergewright.app.local import (
        add_repository,
        alone,
        find_repository,
        introduce,
        open_local_forge,
        said_plainly,
    )

    repositories = [find_repository(path) for path in local]
    with alone(settings):
        forge = open_local_forge(settings, port=port)
        with said_plainly():
            forge.start()
        try:
            connection = introduce(forge, settings)
            projects = [add_repository(forge, path, person=connection.person) for path in repositories]
            with beside(forge, settings, projects, port=api_port, worker=worker) as server:
                if as_json:
                    # Who reads the line asks at once: it is said when everything answers.
                    server.wait()
                with until_the_end():
                    if as_json:
                        told = {"url": server.url, "forge_url": forge.url, "project_id": forge.project_id(projects[0])}
                        people = {"person": connection.person, "bot": connection.bot, "reviewer": connection.reviewer}
                        print_json(told | {"token": connection.person_token, "projects": projects} | people)
                    else:
                        link = forge.sign_in_link(connection.person)
                        tell(forge.url, projects, connection.reviewer, sign_in=link, pages=server.url)
        finally:
            forge.stop()


@contextmanager
def beside(
    forge: "LocalForge", settings: "Settings", projects: Sequence[str], *, port: int, worker: bool = True
) -> "Iterator[Server]":
    """Run our own server beside a local forge, each knowing where the other one is."""
    from mergewright.app.local import let_sign_in, tell_of_events
    from mergewright.server.serving import Server

    server = Server(settings, port=port, worker=worker)
    try:
        let_sign_in(forge, settings, server.url)
        for project in projects:
            tell_of_events(forge, settings, project, server.url)
        forge.use_agents(server.url)
        server.start()
        yield server
    finally:
        server.stop()


def tell(url: str, projects: list[str], reviewer: str, *, sign_in: str, pages: str) -> None:
    """Say where the forge is and what to do next."""
    print(f"The local forge runs at {url}")
    for project in projects:
        print(f"  {url}/{project}")
    print(f"Sign in, once: {sign_in}")
    print(f"Sessions, reviews and settings are at {pages}")
    print("Open an issue there and choose “Generate merge request”; or in another terminal:")
    print(f'  mergewright issue {projects[0]} --title "…" --file issue.md')
    print(f"  mergewright develop {projects[0]}#1")
    print(f"  mergewright review '{projects[0]}!1'")
    print(f"A merge request is also reviewed when @{reviewer} is made its reviewer.")
    print("Ctrl-C ends it; everything is kept.", flush=True)


@contextmanager
def until_the_end() -> "Iterator[None]":
    """Go on behind the body once the process is interrupted or told to end, be it in the middle of the body.

    Whoever reads there that it is ready may end it at once, also where it was started with SIGINT ignored, as a shell
    starts what runs in the background.
    """
    import signal
    import socket

    woken, wakes = socket.socketpair()
    with woken, wakes:
        wakes.setblocking(False)
        # Any thread may be given the signal, and none but this one runs its handler: it has to be woken for that.
        before = signal.set_wakeup_fd(wakes.fileno())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        try:
            yield
            woken.recv(1)
        finally:
            signal.set_wakeup_fd(before)
    print("ended", file=sys.stderr)
