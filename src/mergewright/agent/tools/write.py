"""`write`: a new file, or a file's whole content."""

import re
import shlex
from collections.abc import Mapping

from mergewright.agent.edits import short_diff
from mergewright.agent.filetext import FileText, decode, encode
from mergewright.agent.tools.seen import Seen, in_tree
from mergewright.domain.agent import Access, ToolResult, ToolSpec
from mergewright.domain.errors import ToolError
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON


class WriteFile:
    """Writes a file whole; a file that stands there already must have been read before."""

    spec = ToolSpec(
        "write",
        "Create a file with its folders, or replace the whole of a file that you have read.",
        {
            "type": "object",
            "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
            "required": ["path", "content"],
        },
    )
    access = Access.WRITE

    def __init__(self, sandbox: Sandbox, seen: Seen) -> None:
        self.sandbox = sandbox
        self.seen = seen

    def recall(self, facts: Mapping[str, JSON]) -> None:
        self.seen.recall(facts)

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        path, content = in_tree(arguments["path"], self.sandbox.root), str(arguments["content"])
        old = await self._old(path)
        if old is None:
            await self.sandbox.write(path, content.encode())
            done = f"{path} created, {content.count(chr(10)) + bool(content and content[-1] != chr(10))} lines"
        else:
            text = _in_the_manner_of(old, content)
            await self.sandbox.write(path, encode(text, old.encoding, path))
            kept = [trait for trait in old.traits() if trait in {"BOM", "CRLF", old.encoding}]
            done = f"{path} written{' (kept: ' + ', '.join(kept) + ')' if kept else ''}\n{short_diff(old.text, text)}"
        self.seen.paths.add(path)
        return ToolResult(done, facts={"path": path, "changed": True})

    async def _old(self, path: str) -> FileText | None:
        try:
            data = await self.sandbox.read(path)
        except ToolError:
            # Not readable may also mean too large or a folder: only what is not there may be created.
            quoted = shlex.quote(path if path.startswith("/") else f"./{path}")
            if (await self.sandbox.run(f"[ -e {quoted} ] || [ -L {quoted} ]", seconds=20)).exit_code != 1:
                raise
            return None
        if path not in self.seen.paths:
            raise ToolError(f"`{path}` is there already and you have not read it", hint="read it first, or use `edit`")
        return decode(data, path)


def _in_the_manner_of(old: FileText, content: str) -> str:
    """Keep the byte order mark and the line ends that a file had."""
    if old.crlf and "\r\n" not in content:
        content = re.sub(r"(?<!\r)\n", "\r\n", content)
    return "\ufeff" + content if old.text.startswith("\ufeff") and not content.startswith("\ufeff") else content
