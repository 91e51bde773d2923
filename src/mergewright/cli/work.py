"""Run a session's turn in this process, telling what happens as it happens."""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mergewright.app.settings import Settings
from mergewright.cli.output import exit_code, hint_next, print_json, say, summarize, summarize_review
from mergewright.domain.session import JSON, Session, Subject

if TYPE_CHECKING:
    from mergewright.app.connect import Role
    from mergewright.app.runtime import Runtime

Prepare = Callable[["Runtime"], Awaitable[Session]]
"""Starts a session, or answers or resumes one, and gives it ready to be worked on."""


def work(
    settings: Settings, prepare: Prepare, *, record: Path | None, as_json: bool, role: "Role" = "developer"
) -> None:
    """Work on a session until it ends or waits, print what it came to, and exit with its code."""
    session, told = asyncio.run(run(settings, prepare, record=record, role=role))
    if as_json:
        print_json(told)
    elif role == "reviewer":
        summarize_review(told)
    else:
        summarize(told)
    hint_next(told)
    sys.exit(exit_code(session))


async def run(
    settings: Settings, prepare: Prepare, *, record: Path | None, role: "Role" = "developer"
) -> tuple[Session, dict[str, JSON]]:
    """Work on a session until it ends or waits; give it and what it came to. Reviews take the role `reviewer`."""
    from mergewright.app.report import report, report_review
    from mergewright.app.runtime import open_runtime
    from mergewright.cli.watch import Watcher

    began = time.monotonic()
    # What is loaded now stays to the end: looking through it for garbage again and again takes a tenth of the start.
    gc.disable()
    async with open_runtime(settings, record=record, role=role) as runtime:
        session = await prepare(runtime)
        gc.freeze()
        gc.enable()
        watcher = Watcher(runtime.store, session.id, after=await runtime.seen(session))
        say(f"session {session.id} · {session.subject} · {session.model}", err=True)
        session = await watcher.beside(asyncio.ensure_future(runtime.work(session)))
        if role == "reviewer":
            from mergewright.app.reviewing import open_reviews

            reviews = open_reviews(settings, runtime.store)
            return session, await report_review(
                session, store=runtime.store, reviews=reviews, seconds=time.monotonic() - began
            )
        told = await report(session, store=runtime.store, forge=runtime.forge, seconds=time.monotonic() - began)
    return session, told


async def run_review(settings: Settings, subject: Subject, *, record: Path | None) -> tuple[Session, dict[str, JSON]]:
    """Review a merge request to its end; give the session and what it came to."""
    return await run(settings, lambda runtime: runtime.start_review(subject), record=record, role="reviewer")


async def role_of(settings: Settings, session_id: str) -> "Role":
    """Tell who works on a session; raises NotFound."""
    from mergewright.store.sql import open_store

    settings.make_home()
    store = open_store(settings.database)
    try:
        session = await store.session(session_id)
    finally:
        await store.close()
    return "reviewer" if session.flow == "code_review" else "developer"
