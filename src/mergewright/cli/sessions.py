"""`mergewright sessions`: look at sessions, answer them, go on with them, end them."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mergewright.cli import options
from mergewright.cli.output import exit_code, print_json, say, session_json
from mergewright.domain.errors import WrongUse

if TYPE_CHECKING:
    from mergewright.domain.session import Event, Session

_BULLET = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?:\[[ xX]\]\s*)?")


@click.group()
def sessions() -> None:
    """Look at sessions, answer them, go on with them, end them."""


@sessions.command("list")
@click.option("--active", is_flag=True, help="Only those that have not ended.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@options.as_json
def list_(*, active: bool, limit: int, as_json: bool) -> None:
    """List sessions, the newest first."""
    import asyncio
    import time

    from mergewright.app.runtime import open_sessions

    found = asyncio.run(open_sessions(options.settings_with()).sessions(active=active, limit=limit))
    if as_json:
        print_json([session_json(session) for session in found])
        return
    for session in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(session.created_at))
        say(f"{session.id}  {when}  {session.status.value:<22}  {session.flow}  {session.subject}")
        if session.reason:
            say(f"    {session.reason}")


@sessions.command()
@options.session_id
@click.option("--full", is_flag=True, help="Every event of the log, one JSON object a line.")
@options.as_json
def show(session_id: str, *, full: bool, as_json: bool) -> None:
    """Show one session: where it stands, why, and what it did."""
    import asyncio

    from mergewright.app.runtime import open_sessions
    from mergewright.cli.watch import describe

    store = open_sessions(options.settings_with())

    async def look() -> None:
        session = await store.session(session_id)
        events = await store.events(session.id)
        if as_json:
            print_json(session_json(session))
        elif not full:
            say(f"{session.id}  {session.flow}  {session.subject}  {session.model}")
            say(f"{session.status.value}" + (f": {session.reason}" if session.reason else ""))
        for event in events:
            if full:
                print_json(
                    {"seq": event.seq, "at": event.at, "turn": event.turn, "kind": event.kind.value}
                    | {"component": event.component, "data": dict(event.data)}
                )
            elif not as_json and (line := describe(event)):
                say(line)

    asyncio.run(look())


@sessions.command(short_help="Print a session's events as they come.")
@options.session_id
def follow(session_id: str) -> None:
    """Print a session's events as they come, until it ends or waits for a person."""
    import asyncio

    from mergewright.app.runtime import open_sessions
    from mergewright.cli.watch import Watcher

    store = open_sessions(options.settings_with())

    async def watch() -> "Session":
        session = await store.session(session_id)
        return await Watcher(store, session.id).follow(lambda now: now.status.ended or now.status.waiting)

    sys.exit(exit_code(asyncio.run(watch())))


@sessions.command()
@options.session_id
@click.option("--reason", default="", help="Why; kept with the session.")
@options.as_json
def cancel(session_id: str, *, reason: str, as_json: bool) -> None:
    """End a session; whatever runs for it is stopped."""
    import asyncio

    from mergewright.app.runtime import cancel_session, open_sessions

    session = asyncio.run(cancel_session(open_sessions(options.settings_with()), session_id, reason=reason))
    if as_json:
        print_json(session_json(session))
    else:
        say(f"{session.id} {session.status.value}: {session.reason}")


@sessions.command(short_help="Go on with a session that was killed, stopped or failed.")
@options.session_id
@options.gitlab_url
@options.model
@options.record
@options.as_json
def resume(session_id: str, *, gitlab_url: str, model: str, record: Path | None, as_json: bool) -> None:
    """Go on with a session whose process was killed, or that failed, at the step it was in."""
    import asyncio

    from mergewright.cli.work import role_of, work

    settings = options.settings_with(model=model, gitlab_url=gitlab_url)
    role = asyncio.run(role_of(settings, session_id))
    work(settings, lambda runtime: runtime.resume(session_id), record=record, as_json=as_json, role=role)


@sessions.command(short_help="Write to the agent of a session that runs.")
@options.session_id
@click.argument("text", metavar="TEXT")
@options.gitlab_url
@options.as_json
def message(session_id: str, text: str, *, gitlab_url: str, as_json: bool) -> None:
    """Write to the agent of a session that runs; it reads that before its next request to the model."""
    import asyncio

    from mergewright.app.runtime import message_session, open_sessions

    settings = options.settings_with(gitlab_url=gitlab_url)
    store = open_sessions(settings)

    async def send() -> "Event":
        from mergewright.app.connect import connect, person_of, reach

        forge = connect(settings, role="person")
        try:
            who = person_of(settings, (await reach(settings, forge)).user.username)
        finally:
            forge.close()
        return await message_session(store, session_id, text, by=who)

    event = asyncio.run(send())
    if as_json:
        print_json({"session": event.session, "seq": event.seq, "by": event.data["by"], "text": event.data["text"]})
    else:
        say(f"{event.session}: the agent reads it before its next request")


@sessions.command()
@options.session_id
@click.option(
    "--plan",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Put these steps, one a line, in place of the plan's; - for standard input.",
)
@options.gitlab_url
@options.model
@options.record
@options.as_json
def approve(
    session_id: str, *, file: Path | None, gitlab_url: str, model: str, record: Path | None, as_json: bool
) -> None:
    """Say yes to the plan that a session waits with, and go on."""
    from mergewright.cli.work import work

    settings = options.settings_with(model=model, gitlab_url=gitlab_url)
    plan = _steps(file) if file else ()
    work(settings, lambda runtime: runtime.answer(session_id, approve=True, plan=plan), record=record, as_json=as_json)


def _steps(file: Path) -> tuple[str, ...]:
    """Read a plan: one step a line, with or without the signs of a list; raises WrongUse for none."""
    steps = tuple(step for line in options.read_text(file).splitlines() if (step := _BULLET.sub("", line).strip()))
    if not steps:
        raise WrongUse(f"`{file}` holds no step", hint="write one a line")
    return steps


@sessions.command()
@options.session_id
@click.option("--reason", required=True, help="What is wrong with the plan; the agent reads it.")
@options.gitlab_url
@options.model
@options.record
@options.as_json
def reject(session_id: str, *, reason: str, gitlab_url: str, model: str, record: Path | None, as_json: bool) -> None:
    """Say no to the plan that a session waits with, and why."""
    from mergewright.cli.work import work

    settings = options.settings_with(model=model, gitlab_url=gitlab_url)
    work(
        settings,
        lambda runtime: runtime.answer(session_id, approve=False, reason=reason),
        record=record,
        as_json=as_json,
    )
