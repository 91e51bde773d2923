"""`search`: lines in the work tree that match an expression."""

import shlex
from collections.abc import Mapping
from itertools import takewhile

from mergewright.agent.filetext import clip_line, plain
from mergewright.agent.tools.seen import in_tree
from mergewright.domain.agent import Access, ToolResult, ToolSpec
from mergewright.domain.errors import ToolError
from mergewright.domain.sandbox import Ended, Sandbox
from mergewright.domain.session import JSON

MOST = 100
"""Matching lines in one answer."""


class Search:
    """Searches with ripgrep inside the sandbox, or with git where there is none."""

    spec = ToolSpec(
        "search",
        "Find lines by regular expression, as path:line:text; ignored files are left out.",
        {
            "type": "object",
            "properties": {
                "pattern": {"type": "string"},
                "literal": {"type": "boolean", "description": "pattern is plain text"},
                "path": {"type": "string", "description": "file or folder"},
                "glob": {"type": "string", "description": "such as *.py, src/**"},
            },
            "required": ["pattern"],
        },
    )
    access = Access.READ

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        pattern, glob = arguments["pattern"], arguments.get("glob") or ""
        path = in_tree(arguments.get("path") or ".", self.sandbox.root)
        if not pattern or "\n" in pattern or "\0" in pattern:
            raise ToolError("the pattern must be one line that is not empty")
        literal = bool(arguments.get("literal"))
        command = (
            f"if command -v rg >/dev/null 2>&1; then {_ripgrep(pattern, path, glob, literal=literal)}; "
            f"else {_git_grep(pattern, path, glob, literal=literal)}; fi"
        )
        result = await self.sandbox.run(command, seconds=30)
        if result.ended is not Ended.EXITED:
            raise ToolError("the search took too long or found too much", hint="name a path or a glob")
        lines = [line.removeprefix("./") for line in plain(result.output).splitlines() if line]
        if result.exit_code not in (0, 1):
            raise ToolError("the search failed: " + clip_line(" ".join(lines[-4:]), 400))
        if result.exit_code == 1 or not lines:
            return ToolResult("no match")
        # Of long output the sandbox shows head and tail; the matches are told from the head alone.
        head = list(takewhile(lambda line: not line.startswith("[… "), lines)) if result.output_path else lines
        shown = [clip_line(line, 300) for line in head[:MOST]]
        cut = len(shown) < len(lines)
        header = f"{len(shown)} lines match" if not cut else f"the first {len(shown)} lines that match; narrow it down"
        return ToolResult("\n".join([header, *shown]))


def _ripgrep(pattern: str, path: str, glob: str, *, literal: bool) -> str:
    words = ["rg", "--no-config", "--no-heading", "-nH", "--color=never", "--hidden", "--no-require-git", "-g", "!.git"]
    words += ["--sort=path", "--max-columns=300", "--max-columns-preview", "--max-count=50"]
    words += (["-F"] if literal else []) + (["-g", glob] if glob else [])
    return shlex.join([*words, "-e", pattern, "--", _here(path)])


def _git_grep(pattern: str, path: str, glob: str, *, literal: bool) -> str:
    words = ["git", "--no-optional-locks", "grep", "-nHI", "--no-color", "--untracked", "--max-count=50"]
    prefix = "" if path == "." else f"{path}/"
    spec = f":(glob){prefix}{glob if '/' in glob else f'**/{glob}'}" if glob else path
    return shlex.join([*words, "-F" if literal else "-E", "-e", pattern, "--", spec])


def _here(path: str) -> str:
    return path if path == "." or path.startswith("/") else f"./{path}"
