"""A sandbox that shuts nothing off: for tests of what stands above it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from mergewright.domain.errors import ToolError
from mergewright.domain.sandbox import CommandResult, Ended


class PlainSandbox:
    """The Sandbox protocol on a folder, with bash and no walls."""

    path = "/usr/local/bin:/usr/bin:/bin"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: list[str] = []

    async def run(
        self, command: str, *, seconds: float | None = None, on_output: Callable[[bytes], None] | None = None
    ) -> CommandResult:
        self.commands.append(command)
        started = time.perf_counter()
        environment = {"PATH": self.path, "LANG": "C.UTF-8", "HOME": "/nonexistent"}
        process = await asyncio.create_subprocess_exec(
            "/bin/bash",
            "-c",
            command,
            cwd=self.root,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        ended = Ended.EXITED
        try:
            output, _ = await asyncio.wait_for(process.communicate(), seconds)
        except TimeoutError:
            process.kill()
            await process.wait()
            output, ended = b"", Ended.TIMEOUT
        took = time.perf_counter() - started
        exit_code = process.returncode if ended is Ended.EXITED else None
        return CommandResult(command, exit_code, ended, took, output.decode(errors="replace"), len(output), "")

    def _inside(self, path: str) -> Path:
        found = (self.root / path).resolve()
        if not found.is_relative_to(self.root.resolve()):
            raise ToolError(f"`{path}` leads out of the work tree")
        return found

    async def read(self, path: str) -> bytes:
        found = self._inside(path)
        if not found.is_file():
            raise ToolError(f"`{path}` is not a file")
        return found.read_bytes()

    async def write(self, path: str, data: bytes) -> None:
        found = self._inside(path)
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_bytes(data)

    async def paths(self) -> list[str]:
        result = await self.run("git ls-files --cached --others --exclude-standard")
        return result.output.splitlines()
