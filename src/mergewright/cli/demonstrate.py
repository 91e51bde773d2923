"""The demo: a local forge with a small project, an issue, and the developer flow on it."""

import asyncio
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from mergewright.app.settings import FIRST_SERVED, Settings, read_settings
from mergewright.cli.demonstrate_review import reviewed, tell_reviews
from mergewright.cli.output import print_json, summarize
from mergewright.domain.session import JSON, Session, Subject

if TYPE_CHECKING:
    from mergewright.localforge.server import LocalForge

PROJECT = "demo/users-api"
TITLE = "Cursor-based pagination for GET /api/users"


def demonstrate(model: str, *, record: Path | None, keep: bool, as_json: bool) -> Session:
    """Run the demo, print what it came to, and give the session that says how it ended."""
    with ExitStack() as stack:
        from mergewright.app.local import open_local_forge

        data = Path(stack.enter_context(resources.as_file(resources.files("mergewright.cli") / "demo_data")))
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mergewright-demo-")))
        settings = replace(read_settings(), home=home, gitlab_url="", gitlab_token="", reviewer_token="")
        settings = _with_model(settings, model, data / "session.jsonl")
        began = time.monotonic()
        forge = open_local_forge(settings, port=0)
        forge.start()
        stack.callback(forge.stop)
        session, told = _demo(forge, settings, data, record)
        if session.status == "finished":
            session, reviews = reviewed(settings, data, record, replay=not (model or settings_model()))
            told |= reviews
        told["seconds"] = round(time.monotonic() - began, 1)
        if as_json:
            print_json(told)
        else:
            summarize(told)
            tell_reviews(told)
        if keep:
            _keep(forge, settings)
    return session


def settings_model() -> str:
    """Give the model that is set outside; empty where a recorded one is replayed."""
    return read_settings().model


def _with_model(settings: Settings, model: str, recording: Path) -> Settings:
    chosen = model or settings.model
    if chosen:
        named = f"is {chosen}" if chosen != FIRST_SERVED else f"is the first one of {settings.openai_base_url}"
        print(f"The model {named}.", file=sys.stderr)
        return replace(settings, model=chosen)
    print("No model is set: a recorded model session is replayed; all else is real.", file=sys.stderr)
    return replace(settings, model=f"recorded:{recording}")


def _demo(forge: "LocalForge", settings: Settings, data: Path, record: Path | None) -> tuple[Session, dict[str, JSON]]:
    from mergewright.app.local import add_repository, introduce
    from mergewright.cli.work import run

    connection = introduce(forge, settings)
    source = make_repository(data / "users-api", settings.home / "users-api")
    add_repository(forge, source, person=connection.person, project=PROJECT)
    print(f"The local forge runs at {forge.url}/{PROJECT}", file=sys.stderr)
    subject = asyncio.run(_open_issue(settings, (data / "issue.md").read_text()))
    print(f"Issue {subject}: {forge.url}/{PROJECT}/-/issues/{subject.iid}", file=sys.stderr)
    return asyncio.run(run(settings, lambda runtime: runtime.start(subject), record=record))


async def _open_issue(settings: Settings, description: str) -> Subject:
    from mergewright.app.connect import connect

    forge = connect(settings, role="person")
    try:
        issue = await forge.open_issue(PROJECT, title=TITLE, description=description)
    finally:
        forge.close()
    return Subject(PROJECT, "#", issue.iid)


def make_repository(files: Path, target: Path) -> Path:
    """Make a git repository of a folder's files, with one commit."""
    import shutil

    shutil.copytree(files, target, ignore=shutil.ignore_patterns("__pycache__"))
    identity = ["-c", "user.name=Demo", "-c", "user.email=demo@example.com", "-c", "commit.gpgsign=false"]
    for arguments in (
        ["init", "-q", "--initial-branch=main"],
        ["add", "--all"],
        [*identity, "commit", "-q", "--no-verify", "-m", "A small API over a table of users"],
    ):
        subprocess.run(["git", "-C", str(target), *arguments], check=True)
    return target


def _keep(forge: "LocalForge", settings: Settings) -> None:
    """Leave the forge up with our own pages beside it, for whoever wants to look."""
    from mergewright.app.connect import LocalConnection, connection_file
    from mergewright.cli.serve import beside, until_the_end

    connection = LocalConnection.read(connection_file(settings))
    with beside(forge, settings, [PROJECT], port=0) as server, until_the_end():
        if connection is not None:
            print(f"Sign in, once: {forge.sign_in_link(connection.person)}", file=sys.stderr)
        print(f"Sessions, reviews and settings are at {server.url}", file=sys.stderr)
        print("Both stay up until Ctrl-C. From another terminal:", file=sys.stderr)
        print(f"  MERGEWRIGHT_HOME={settings.home} {sys.argv[0]} sessions list", file=sys.stderr)
