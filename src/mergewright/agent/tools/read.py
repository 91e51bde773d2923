"""`read`: a file, a part of it, one definition in it, or what a folder holds."""

import shlex
from collections.abc import Mapping
from difflib import get_close_matches
from posixpath import basename

from mergewright.agent.filetext import clip_line, decode, reveal
from mergewright.agent.symbols import find_symbol
from mergewright.agent.tools.seen import Seen, in_tree
from mergewright.domain.agent import Access, ToolResult, ToolSpec
from mergewright.domain.errors import ToolError
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON

LONGEST = 25_000
"""Characters of a file in one answer."""


class Read:
    """Shows a file as it is, without line numbers, so that what is read can be quoted in an edit."""

    spec = ToolSpec(
        "read",
        "Read a file as it is, below one line that names the lines shown; or list a folder.",
        {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "start": {"type": "integer", "description": "first line"},
                "lines": {"type": "integer", "description": "how many"},
                "symbol": {"type": "string", "description": "only this definition: `name`, `Class.method`"},
            },
            "required": ["path"],
        },
    )
    access = Access.READ

    def __init__(self, sandbox: Sandbox, seen: Seen) -> None:
        self.sandbox = sandbox
        self.seen = seen

    def recall(self, facts: Mapping[str, JSON]) -> None:
        self.seen.recall(facts)

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        path = in_tree(arguments["path"], self.sandbox.root)
        try:
            data = await self.sandbox.read(path)
        except ToolError as error:
            return ToolResult(await self._list(path, error))
        file = decode(data, path)
        lines = file.text.replace("\r\n", "\n").split("\n")
        if lines[-1] == "":
            lines.pop()
        first, last = _range(arguments, lines, path)
        shown = _fit(lines[first - 1 : last])
        last = first + len(shown) - 1
        where = f"lines {first}-{last} of {len(lines)}" if lines else "empty"
        text = "\n".join(shown)
        hidden = ["hidden letters shown as ⟨U+…⟩"] if reveal(text) != text else []
        header = " · ".join([path, where, *file.traits(), *hidden])
        self.seen.paths.add(path)
        return ToolResult(f"{header}\n{reveal(text)}" if shown else header, facts={"path": path})

    async def _list(self, path: str, error: ToolError) -> str:
        """What stands in a folder; where there is none either, the file's own error with names that are near."""
        quoted = shlex.quote(f"./{path}" if not path.startswith("/") else path)
        result = await self.sandbox.run(f"[ -d {quoted} ] && cd {quoted} && ls -1Ap", seconds=20)
        if result.exit_code == 0:
            names = [name for name in result.output.splitlines() if name != ".git/"]
            more = [f"[… {len(names) - 400} more]"] if len(names) > 400 else []
            return "\n".join([f"{path}/ · {len(names)} entries", *names[:400], *more])
        known = await self.sandbox.paths()
        name = basename(path)
        near = [one for one in known if basename(one) == name] or get_close_matches(path, known, n=3, cutoff=0.7)
        raise ToolError(error.message, hint=f"there is {', '.join(near[:5])}" if near else error.hint) from error


def _range(arguments: Mapping[str, JSON], lines: list[str], path: str) -> tuple[int, int]:
    if symbol := arguments.get("symbol"):
        found = find_symbol(lines, symbol)
        if found is None:
            raise ToolError(f"no definition of `{symbol}` in `{path}`", hint="use `search` to find it")
        return found
    first = max(1, int(arguments.get("start") or 1))
    if lines and first > len(lines):
        raise ToolError(f"`{path}` has only {len(lines)} lines")
    count = int(arguments.get("lines") or len(lines))
    if count < 1:
        raise ToolError("`lines` must be at least 1")
    return first, min(len(lines), first + count - 1)


def _fit(lines: list[str]) -> list[str]:
    """As many whole lines as one answer takes, at least one."""
    shown: list[str] = []
    room = LONGEST
    for line in lines:
        clipped = clip_line(line)
        room -= len(clipped) + 1
        if room < 0 and shown:
            break
        shown.append(clipped)
    return shown
