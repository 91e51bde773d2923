"""A session's page with 2,000 events in a real Chromium: how soon it is painted, and whether it stays live.

Each opening is by a browser that has kept nothing. The yardstick is the same page of a session with ten events.
"""

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from playwright.sync_api import Browser, Page

from bench.row import Row
from mergewright.domain.session import EventKind, Session, Status, Subject
from mergewright.store.rows import EVENTS, SESSIONS, encode_json
from mergewright.store.sql import SqlStore, open_store
from tests.browser.window import chromium
from tests.server.pages.stand import Played, app_over, served

EVENTS_OF_A_PAGE = 2_000
BAR = 1.0
"""Seconds from asking for the page to its first paint."""
LIVE_BAR = 1.0
"""Seconds from an event in the log to its line on the open page."""
BURST = 200


@dataclass(frozen=True)
class Opened:
    """One opening of a page, in seconds."""

    answered: float
    painted: float
    ready: float
    size: int


def rows(session: str, number: int) -> list[dict[str, Any]]:
    """Give a log as a developer's session leaves it: steps of looking, editing and running tests."""
    made: list[tuple[str, dict[str, Any]]] = [("status", {"status": "running", "reason": ""})]
    source = "".join(f"def function_{line}(value: int) -> int:\n    return value + {line}\n" for line in range(40))
    diff = "\n".join(["@@ -1,20 +1,40 @@", *(f"-old line {line}\n+new line {line}" for line in range(20))])
    while len(made) < number:
        name = f"call_{len(made)}"
        path = {"path": f"src/part_{len(made) % 17}.py"}
        edit = {**path, "edits": [{"old": "a", "new": "b"}]}
        read = f"{path['path']} · lines 1-80 of 80\n{source}"
        made += [
            ("message", {"role": "assistant", "text": f"Next I look at {path['path']}. " * 8}),
            ("usage", {"requests": 1, "input_tokens": 9_000, "output_tokens": 400, "cached_tokens": 8_000}),
            ("tool_call", {"id": name, "name": "read", "arguments": path}),
            ("tool_result", {"id": name, "name": "read", "text": read, "ok": True}),
            ("tool_call", {"id": f"{name}e", "name": "edit", "arguments": edit}),
            ("tool_result", {"id": f"{name}e", "name": "edit", "text": f"{path['path']} changed\n{diff}", "ok": True}),
            ("tool_call", {"id": f"{name}r", "name": "run", "arguments": {"command": "python -m pytest -q"}}),
            ("tool_result", {"id": f"{name}r", "name": "run", "text": f"exit 1 · 3.1 s\n{source}", "ok": False,
                             "tests": {"passed": 90, "failed": 2, "failures": ["tests/test_a.py::test_one"]}}),
        ]  # fmt: skip
    return [
        {"session": session, "seq": seq, "at": 1e9 + seq, "turn": 1, "kind": kind,
         "component": "" if kind == "status" else f"implement:{1 + seq // 250}", "data": encode_json(data)}
        for seq, (kind, data) in enumerate(made[:number], 1)
    ]  # fmt: skip


async def begin(store: SqlStore, iid: int, number: int) -> Session:
    """Keep a running session with so many events."""
    subject = Subject("team/shop", "#", iid)
    session = await store.create(Session("", "developer", subject, "x", "ann", "test:m", Status.RUNNING, turn=1))

    def insert(connection: Any) -> None:
        connection.execute(EVENTS.insert(), rows(session.id, number))
        connection.execute(SESSIONS.update().where(SESSIONS.c.id == session.id).values(last_seq=number))

    await store.run(insert)
    return session


def apart(work: Any) -> Any:
    """Run a coroutine beside the browser's driver, which has this thread's loop."""
    answer: list[Any] = []
    thread = Thread(target=lambda: answer.append(asyncio.run(work)))
    thread.start()
    thread.join()
    return answer[0]


def opened(browser: Browser, address: str) -> Opened:
    """Open a page with nothing kept, and give how long it took."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(address, wait_until="load")
    page.wait_for_function("performance.getEntriesByName('first-contentful-paint').length > 0")
    took: list[float] = page.evaluate(
        """() => {
          const at = performance.getEntriesByType("navigation")[0];
          const paint = performance.getEntriesByName("first-contentful-paint")[0];
          return [at.responseEnd, paint.startTime, at.domContentLoadedEventEnd, at.decodedBodySize];
        }"""
    )
    context.close()
    return Opened(took[0] / 1000, took[1] / 1000, took[2] / 1000, int(took[3]))


def live(page: Page, store: SqlStore, session: Session) -> tuple[float, float]:
    """Give the seconds until one new event shows, and until the last one of a burst does."""

    def told(text: str) -> None:
        apart(store.append(session.id, EventKind.PROGRESS, {"text": text}, turn=1, component="implement:9"))

    def shown(text: str) -> None:
        page.wait_for_function("text => document.getElementById('story').textContent.includes(text)", arg=text)

    told("the first one.")
    shown("the first one.")
    began = time.monotonic()
    told("a single one.")
    shown("a single one.")
    single = time.monotonic() - began
    began = time.monotonic()
    for number in range(BURST):
        told(f"burst {number}.")
    wrote = time.monotonic() - began
    shown(f"burst {BURST - 1}.")
    return single, time.monotonic() - began - wrote


def rows_of_page(runs: int) -> list[Row]:
    """Open a long session's page and that of a short one in turn, then watch the long one live."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "db.sqlite3")
        small, large = apart(begin(store, 1, 10)), apart(begin(store, 2, EVENTS_OF_A_PAGE))
        with served(app_over(Played(store))) as url, chromium() as browser:
            for session in (small, large):
                opened(browser, f"{url}/sessions/{session.id}")
            pairs = [[opened(browser, f"{url}/sessions/{one.id}") for one in (small, large)] for _ in range(runs)]
            page = browser.new_context().new_page()
            page.goto(f"{url}/sessions/{large.id}")
            single, burst = live(page, store, large)
    yard, ours = ([pair[which] for pair in pairs] for which in (0, 1))
    found = []
    for name, bar in (("answered", None), ("painted", BAR), ("ready", None)):
        values, base = ([getattr(one, name) for one in many] for many in (ours, yard))
        middle = statistics.median(values)
        note = f"{middle / statistics.median(base):.2f} times a page of 10"
        found.append(Row(f"page of {EVENTS_OF_A_PAGE:,} events, {name}", middle, bar, "s", note))
    size = f"{ours[0].size / yard[0].size:.1f} times a page of 10"
    return [
        *found,
        Row("its size", ours[0].size / 1024, None, "KiB", size),
        Row("a new event shows after", single, LIVE_BAR, "s"),
        Row(f"the last of {BURST} new events shows after", burst, LIVE_BAR, "s"),
    ]
