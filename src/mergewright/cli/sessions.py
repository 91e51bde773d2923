"""`mergewright sessions`: look at sessions, answer them, go on with them, end them."""

from typing import TYPE_CHECKING, Annotated

import typer

from mergewright.cli.options import AsJson, GitlabUrl, ModelName, Record, SessionId, settings_with
from mergewright.cli.output import exit_code, print_json, session_json

if TYPE_CHECKING:
    from mergewright.domain.session import Session

app = typer.Typer(
    help="Look at sessions, answer them, go on with them, end them.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("list")
def list_(
    active: Annotated[bool, typer.Option("--active", help="Only those that have not ended.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List sessions, the newest first."""
    import asyncio
    import time

    from mergewright.app.runtime import open_sessions

    sessions = asyncio.run(open_sessions(settings_with()).sessions(active=active, limit=limit))
    if as_json:
        print_json([session_json(session) for session in sessions])
        return
    for session in sessions:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(session.created_at))
        print(f"{session.id}  {when}  {session.status.value:<22}  {session.flow}  {session.subject}")
        if session.reason:
            print(f"    {session.reason}")


@app.command()
def show(
    session_id: SessionId,
    full: Annotated[bool, typer.Option("--full", help="Every event of the log, one JSON object a line.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one session: where it stands, why, and what it did."""
    import asyncio

    from mergewright.app.runtime import open_sessions
    from mergewright.cli.watch import describe, plain

    store = open_sessions(settings_with())

    async def look() -> None:
        session = await store.session(session_id)
        events = await store.events(session.id)
        if as_json:
            print_json(session_json(session))
        elif not full:
            print(f"{session.id}  {session.flow}  {session.subject}  {session.model}")
            print(f"{session.status.value}" + (f": {session.reason}" if session.reason else ""))
        for event in events:
            if full:
                print_json(
                    {"seq": event.seq, "at": event.at, "turn": event.turn, "kind": event.kind.value}
                    | {"component": event.component, "data": dict(event.data)}
                )
            elif not as_json and (line := plain(describe(event))):
                print(line)

    asyncio.run(look())


@app.command()
def follow(session_id: SessionId) -> None:
    """Print a session's events as they come, until it ends or waits for a person."""
    import asyncio

    from mergewright.app.runtime import open_sessions
    from mergewright.cli.watch import Watcher

    store = open_sessions(settings_with())

    async def watch() -> "Session":
        session = await store.session(session_id)
        return await Watcher(store, session.id).follow(lambda now: now.status.ended or now.status.waiting)

    raise typer.Exit(exit_code(asyncio.run(watch())))


@app.command()
def cancel(
    session_id: SessionId,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with the session.")] = "",
    as_json: AsJson = False,
) -> None:
    """End a session; whatever runs for it is stopped."""
    import asyncio

    from mergewright.app.runtime import cancel_session, open_sessions

    session = asyncio.run(cancel_session(open_sessions(settings_with()), session_id, reason=reason))
    if as_json:
        print_json(session_json(session))
    else:
        print(f"{session.id} {session.status.value}: {session.reason}")


@app.command()
def resume(
    session_id: SessionId,
    gitlab_url: GitlabUrl = "",
    model: ModelName = "",
    record: Record = None,
    as_json: AsJson = False,
) -> None:
    """Go on with a session whose process was killed, or that failed, at the step it was in."""
    from mergewright.cli.work import work

    settings = settings_with(model=model, gitlab_url=gitlab_url)
    work(settings, lambda runtime: runtime.resume(session_id), record=record, as_json=as_json)


@app.command()
def approve(
    session_id: SessionId,
    gitlab_url: GitlabUrl = "",
    model: ModelName = "",
    record: Record = None,
    as_json: AsJson = False,
) -> None:
    """Say yes to the plan that a session waits with, and go on."""
    from mergewright.cli.work import work

    settings = settings_with(model=model, gitlab_url=gitlab_url)
    work(settings, lambda runtime: runtime.answer(session_id, approve=True), record=record, as_json=as_json)


@app.command()
def reject(
    session_id: SessionId,
    reason: Annotated[str, typer.Option("--reason", help="What is wrong with the plan; the agent reads it.")],
    gitlab_url: GitlabUrl = "",
    model: ModelName = "",
    record: Record = None,
    as_json: AsJson = False,
) -> None:
    """Say no to the plan that a session waits with, and why."""
    from mergewright.cli.work import work

    settings = settings_with(model=model, gitlab_url=gitlab_url)
    work(
        settings,
        lambda runtime: runtime.answer(session_id, approve=False, reason=reason),
        record=record,
        as_json=as_json,
    )
