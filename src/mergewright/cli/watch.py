"""Shows a session's events as they come, on standard error."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from mergewright.cli.output import plain
from mergewright.cli.screen import Look, Screen, open_screen
from mergewright.domain.session import JSON, Event, EventKind, Plan, Session, Store, Task

QUIET_TOOLS = {"plan", "finish"}


def describe(event: Event) -> str:
    """Put one event in one line for a person; empty for what only the log needs."""
    data = event.data
    match event.kind:
        case EventKind.STATUS:
            return f"{data['status']}" + (f": {data['reason']}" if data.get("reason") else "")
        case EventKind.COMPONENT:
            return _heading(event.component) if data.get("phase") == "begin" else ""
        case EventKind.TOOL_CALL:
            return _command(data["arguments"]) if data["name"] == "run" else ""
        case EventKind.TOOL_RESULT:
            return "" if data.get("name") in QUIET_TOOLS else _tool_line(data)
        case EventKind.PLAN:
            return "\n".join(f"  [{'x' if task['done'] else ' '}] {task['text']}" for task in data["tasks"])
        case EventKind.CHECK:
            outcome = "passed" if data["exit_code"] == 0 else f"exit code {data['exit_code']}"
            summary = f" · {data['summary']}" if data.get("summary") else ""
            return f"  check ({data['when']}): {data['command']} · {outcome}{summary} · {data['seconds']:.1f} s"
        case EventKind.FORGE:
            return f"  {data['action'].replace('_', ' ')}: {_written(data)}"
        case EventKind.APPROVAL:
            return f"  {data['approval']} by {data['by']}" + (f": {data['reason']}" if data.get("reason") else "")
        case EventKind.ERROR:
            return f"  error: {data['message']}" + (f"\n  hint: {data['hint']}" if data.get("hint") else "")
        case EventKind.MESSAGE:
            return f"  {data['by']}: {data['text']}" if data.get("note") == "person" else ""
        case EventKind.PROGRESS:
            return f"  {data['text']}"
        case _:
            return ""


def _heading(component: str) -> str:
    name, _, run = component.partition(":")
    return f"— {name.replace('_', ' ')}" + (f" ({run})" if run not in {"", "1"} else "")


def _command(arguments: JSON) -> str:
    """A command as it starts: it may take long, and who watches wants to know what runs."""
    lines = str(arguments.get("command", "") if isinstance(arguments, dict) else "").strip().split("\n")
    return f"  $ {lines[0][:140]}" + (" …" if len(lines) > 1 or len(lines[0]) > 140 else "")


def _tool_line(data: JSON) -> str:
    first = str(data.get("text", "")).strip().split("\n", 1)[0]
    return f"  {data['name']} · {first[:140]}"


def _written(data: JSON) -> str:
    if "branch" in data:
        return f"{data['branch']} at {data['sha'][:8]}"
    return str(data.get("web_url") or data.get("subject") or "")


class Watcher:
    """Prints the events of one session, from where it was told to begin."""

    def __init__(self, store: Store, session_id: str, *, after: int = 0) -> None:
        self.store = store
        self.session_id = session_id
        self.seen = after
        self._heading = ""
        """A step's heading that waits for the step's first line: most steps that only decide have none."""
        self._tasks: tuple[Task, ...] = ()

    async def catch_up(self, screen: Screen) -> None:
        """Print what has come since the last look."""
        for event in await self.store.events(self.session_id, after=self.seen):
            self.seen = event.seq
            if event.kind is EventKind.COMPONENT:
                self._step(screen, event)
            elif line := plain(self._plan(event) if event.kind is EventKind.PLAN else describe(event)):
                self._print_heading(screen)
                screen.line(line, _look(event))

    def _step(self, screen: Screen, event: Event) -> None:
        """A step that began shows its heading with its first line; an agent's at once, for a model takes its time."""
        self._heading = plain(describe(event))
        screen.now(self._heading.removeprefix("— "))
        if event.data.get("type") == "AgentComponent":
            self._print_heading(screen)

    def _print_heading(self, screen: Screen) -> None:
        if self._heading:
            screen.line(self._heading, "bold")
            self._heading = ""

    def _plan(self, event: Event) -> str:
        """A plan is shown whole once; after that, what of it has been done since."""
        plan = Plan.decode(event.data["tasks"])
        known, self._tasks = self._tasks, plan.tasks
        if [task.text for task in known] != [task.text for task in plan.tasks]:
            return describe(event)
        ticked = [new for old, new in zip(known, plan.tasks, strict=True) if new.done and not old.done]
        return "\n".join(f"  [x] {task.text}" for task in ticked)

    async def follow(self, until: Callable[[Session], bool]) -> Session:
        """Print events as they come until the session is where it was asked to be."""
        with open_screen() as screen:
            while True:
                session = await self.store.session(self.session_id)
                await self.catch_up(screen)
                if until(session):
                    return session
                await asyncio.sleep(0.2)

    async def beside(self, work: asyncio.Task[Session]) -> Session:
        """Print events as they come while a piece of work runs; give its value or raise what it raised."""
        following = asyncio.ensure_future(self.follow(lambda session: False))
        try:
            return await work
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await self.catch_up(Screen())


def _look(event: Event) -> Look:
    if event.kind is EventKind.ERROR or event.data.get("ok") is False:
        return "red"
    if event.kind is EventKind.CHECK:
        return "green" if event.data["exit_code"] == 0 else "red"
    if event.kind is EventKind.TOOL_RESULT:
        return "dim"
    return "bold" if event.kind is EventKind.STATUS else ""
