"""`edit`: exact replacements in a file, which keep every other byte."""

from collections.abc import Mapping

from mergewright.agent.edits import Edit, apply, short_diff
from mergewright.agent.filetext import decode, encode
from mergewright.agent.tools.seen import Seen, in_tree
from mergewright.domain.agent import Access, ToolResult, ToolSpec
from mergewright.domain.errors import ToolError
from mergewright.domain.sandbox import Sandbox
from mergewright.domain.session import JSON


class EditFile:
    """Replaces exact text in a file and answers with the change as a short diff."""

    spec = ToolSpec(
        "edit",
        "Replace exact text in a file; all edits are made or none. `old` must stand there once, white space "
        "included, unless `all` is set. Answers with the diff.",
        {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "edits": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "properties": {
                            "old": {"type": "string"},
                            "new": {"type": "string"},
                            "all": {"type": "boolean"},
                        },
                        "required": ["old", "new"],
                    },
                },
            },
            "required": ["path", "edits"],
        },
    )
    access = Access.WRITE

    def __init__(self, sandbox: Sandbox, seen: Seen) -> None:
        self.sandbox = sandbox
        self.seen = seen

    def recall(self, facts: Mapping[str, JSON]) -> None:
        self.seen.recall(facts)

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        path = in_tree(arguments["path"], self.sandbox.root)
        data = await self.sandbox.read(path)
        file = decode(data, path)
        edits = [Edit(one["old"], one["new"], all=bool(one.get("all"))) for one in arguments["edits"]]
        text = apply(file.text, edits, path)
        if text == file.text:
            raise ToolError("the edits undo one another: nothing would change")
        new = encode(text, file.encoding, path)
        await self.sandbox.write(path, new)
        self.seen.paths.add(path)
        return ToolResult(f"{path} changed\n{short_diff(file.text, text)}", facts={"path": path, "changed": True})
