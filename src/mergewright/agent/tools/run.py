"""`run`: a shell command in the sandbox."""

from collections.abc import Mapping

from mergewright.agent.filetext import clip_lines
from mergewright.agent.testruns import fold, headline, looks_like_tests, parse
from mergewright.domain.agent import Access, ToolResult, ToolSpec
from mergewright.domain.errors import ToolError
from mergewright.domain.sandbox import Ended, Sandbox, SandboxLimits
from mergewright.domain.session import JSON

SECONDS = SandboxLimits().seconds
"""The longest time for one command, unless a flow sets another."""
LONGEST = 26_000
"""Characters of output in one answer; the sandbox itself shows head and tail of what is longer."""


class Run:
    """Runs a command and answers with its true exit code first, then what its tests said, then its output."""

    access = Access.WRITE

    def __init__(self, sandbox: Sandbox, *, seconds: float = SECONDS) -> None:
        self.sandbox = sandbox
        self.seconds = seconds
        self.spec = ToolSpec(
            "run",
            "Run a shell command at the top of the work tree: no network, no input, nothing stays running. "
            "Answers with exit code, seconds, test counts, then the output.",
            {
                "type": "object",
                "properties": {
                    "command": {"type": "string"},
                    "seconds": {"type": "number", "description": f"time limit, at most and by default {seconds:g}"},
                },
                "required": ["command"],
            },
        )

    async def call(self, arguments: Mapping[str, JSON]) -> ToolResult:
        command = arguments["command"]
        if not command.strip():
            raise ToolError("the command is empty")
        if "\0" in command:
            raise ToolError("a command cannot hold a NUL character")
        wanted = arguments.get("seconds") or self.seconds
        result = await self.sandbox.run(command, seconds=min(max(float(wanted), 1.0), self.seconds))
        first = headline(result)
        tests = parse(result.output)
        if result.exit_code and tests and not tests.failed:
            first += " · the exit code says that it failed all the same"
        if result.output_path:
            first += f" · {result.output_bytes} bytes of output, whole in {result.output_path}"
        facts: dict[str, JSON] = {"exit_code": result.exit_code, "ended": result.ended.value}
        if tests or looks_like_tests(command):
            facts["tests"] = tests.encode() if tests else {}
        output = clip_lines(fold(result.output), LONGEST)
        ok = result.ended is Ended.EXITED and result.exit_code == 0
        return ToolResult(f"{first}\n{output}".rstrip("\n"), ok=ok, facts=facts)
