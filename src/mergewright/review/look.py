"""The reviewer's eyes: definitions, callers and tests, read from the commits under review and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass

from mergewright.agent.filetext import clip_line, reveal
from mergewright.agent.symbols import find_symbol
from mergewright.domain.agent import Access, Tool, ToolResult, ToolSpec
from mergewright.domain.errors import MergewrightError, ToolError
from mergewright.domain.session import JSON
from mergewright.git.history import History

LONGEST = 8_000
"""Characters of one answer."""
MOST_MATCHES = 40


@dataclass(slots=True)
class Budget:
    """What may still be looked at, in characters, over one conversation."""

    left: int

    def take(self, text: str) -> ToolResult:
        if self.left <= 0:
            raise ToolError("the budget for looking things up is used up", hint="call finish with what you know")
        self.left -= len(text)
        return ToolResult(text)


class ReadCode:
    """Shows lines of a file as they are after the change, or before it."""

    spec = ToolSpec(
        "read",
        "Read lines, or one definition, of a file after the change.",
        {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "start": {"type": "integer"},
                "lines": {"type": "integer"},
                "symbol": {"type": "string", "description": "`name` or `Class.method`"},
                "before": {"type": "boolean", "description": "as it was before the change"},
            },
            "required": ["path"],
        },
    )
    access = Access.READ

    def __init__(self, history: History, *, head: str, base: str, budget: Budget) -> None:
        self.history = history
        self.head = head
        self.base = base
        self.budget = budget

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        path = str(arguments["path"]).removeprefix("./")
        data = await self.history.blob(self.base if arguments.get("before") else self.head, path)
        if data is None:
            raise ToolError(f"there is no file `{path}` to read", hint="use `search` to find what you look for")
        lines = data.decode("utf-8", "replace").replace("\r\n", "\n").splitlines()
        first, last = _range(arguments, lines, path)
        shown: list[str] = []
        room = LONGEST
        for line in lines[first - 1 : last]:
            room -= len(clipped := clip_line(line, 400)) + 1
            if room < 0:
                break
            shown.append(clipped)
        header = f"{path} · lines {first}-{first + len(shown) - 1} of {len(lines)}"
        return self.budget.take(reveal("\n".join([header, *shown])))


class SearchCode:
    """Finds lines of the files as they are after the change."""

    spec = ToolSpec(
        "search",
        "Find lines by extended regular expression in all files after the change, as path:line:text.",
        {
            "type": "object",
            "properties": {
                "pattern": {"type": "string"},
                "path": {"type": "string", "description": "only below this file or folder"},
            },
            "required": ["pattern"],
        },
    )
    access = Access.READ

    def __init__(self, history: History, *, head: str, budget: Budget) -> None:
        self.history = history
        self.head = head
        self.budget = budget

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        pattern, path = str(arguments["pattern"]), str(arguments.get("path") or "")
        if not pattern or "\n" in pattern or "\0" in pattern or len(pattern) > 300:
            raise ToolError("the pattern must be one line that is not empty")
        if path.startswith(("/", ":")) or ".." in path.split("/") or "\0" in path:
            raise ToolError(f"`{path[:100]}` is no path in the project")
        paths = [path.removeprefix("./")] if path.removeprefix("./") else []
        try:
            found = await self.history.grep(self.head, pattern, paths=paths, limit=MOST_MATCHES + 1)
        except MergewrightError as error:
            raise ToolError(error.message) from error
        if not found:
            return self.budget.take("no match")
        lines = [f"{name}:{number}:{clip_line(text, 200)}" for name, number, text in found[:MOST_MATCHES]]
        more = ["(more lines match; narrow it down)"] if len(found) > MOST_MATCHES else []
        return self.budget.take(reveal("\n".join([*lines, *more])[:LONGEST]))


def looking(history: History, *, head: str, base: str, room: int) -> list[Tool]:
    """Give the tools of one conversation, which may show `room` characters between them."""
    budget = Budget(room)
    return [
        ReadCode(history, head=head, base=base, budget=budget),
        SearchCode(history, head=head, budget=budget),
    ]


def _range(arguments: Mapping[str, JSON], lines: list[str], path: str) -> tuple[int, int]:
    if symbol := arguments.get("symbol"):
        found = find_symbol(lines, str(symbol))
        if found is None:
            raise ToolError(f"no definition of `{symbol}` in `{path}`", hint="use `search` to find it")
        return found
    first = min(max(1, int(arguments.get("start") or 1)), max(len(lines), 1))
    return first, min(len(lines), first + max(int(arguments.get("lines") or 200), 1) - 1)
