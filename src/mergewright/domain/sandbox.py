"""Where the project's files live and its commands run, shut off from everything else."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Ended(StrEnum):
    """How a command came to its end."""

    EXITED = "exited"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    DISK = "disk"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one command may use; past any of these it is ended and the reason said."""

    seconds: float = 120.0
    memory: int = 2 * 1024**3
    """Bytes, for the whole process tree."""
    processes: int = 512
    output: int = 1024**3
    """Bytes kept in the output file before the command is ended."""
    disk: int = 10 * 1024**3
    """Bytes by which the free space of the disk may shrink meanwhile."""


@dataclass(frozen=True, slots=True)
class CommandResult:
    """One command's end: what it printed (head and tail), how it ended and how long it took."""

    command: str
    exit_code: int | None
    """None when the command did not end by itself."""
    ended: Ended
    seconds: float
    output: str
    """Standard output and error as they came; the middle is cut out of long output, at line ends."""
    output_bytes: int
    output_path: str
    """Where the whole output lies, as a path inside the sandbox; empty when `output` is whole."""


class Sandbox(Protocol):
    """One session's work tree, and the only place where its commands run.

    Paths are relative to the work tree or absolute inside the sandbox. A path that leads out of the
    work tree, by `..` or through a symbolic link, raises ToolError.
    """

    root: Path
    """The work tree: the same path inside the sandbox and outside."""

    async def run(
        self, command: str, *, seconds: float | None = None, on_output: Callable[[bytes], None] | None = None
    ) -> CommandResult:
        """Run a shell command at the root of the work tree; nothing of it is left alive afterwards.

        Raises SandboxError when the sandbox itself cannot start.
        """
        ...

    async def read(self, path: str) -> bytes:
        """Return a file's bytes; raises ToolError when there is no such file."""
        ...

    async def write(self, path: str, data: bytes) -> None:
        """Write a file whole, keeping its mode and writing through a link inside the work tree."""
        ...

    async def paths(self) -> list[str]:
        """List the files git would track: tracked ones and new ones that are not ignored."""
        ...
