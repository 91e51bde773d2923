"""The sandbox of a session: bubblewrap, which needs no daemon, no image and no rights."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from mergewright.domain.errors import SandboxError, ToolError
from mergewright.domain.sandbox import CommandResult, Sandbox
from mergewright.sandbox import files, mounts, seccomp
from mergewright.sandbox.availability import bubblewrap_version, find_bubblewrap
from mergewright.sandbox.cgroups import Cgroups, find_cgroups
from mergewright.sandbox.output import Output
from mergewright.sandbox.process import Confined, Outcome
from mergewright.sandbox.settings import SandboxSettings

_LONGEST = 100_000
"""Bytes of the longest command; the kernel takes no argument over 128 KiB."""
_RESERVE = 512 * 1024**2
"""Bytes of the disk that no command may take."""
_LIST = "git ls-files -z --cached --others --exclude-standard && printf '\\0' && git ls-files -z --deleted"
_LONGEST_LIST = 64 * 1024**2


class Bubblewrap(Sandbox):
    """A work tree in a sandbox without network, secrets or a way out."""

    def __init__(
        self,
        root: Path,
        *,
        outputs: Path,
        settings: SandboxSettings | None = None,
        git_dir: Path | None = None,
        bubblewrap: Path | None = None,
        cgroups: Cgroups | None = None,
    ) -> None:
        self.root = root.resolve(strict=True)
        self._outputs = outputs.resolve()
        self._settings = settings or SandboxSettings()
        self._git_dir = git_dir.resolve() if git_dir else None
        self._bubblewrap = bubblewrap or find_bubblewrap()
        self._cgroups = cgroups or find_cgroups()
        self._shell = "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"
        mounts.check_places(self.root, self._settings, self._git_dir, self._outputs)
        if self._settings.scratch is not None:
            for name in ("tmp", "home"):
                (self._settings.scratch / name).mkdir(exist_ok=True)
        self._arguments = [
            *mounts.system_arguments(),
            *mounts.session_arguments(self.root, self._settings, self._git_dir, self._outputs),
        ]

    async def run(
        self, command: str, *, seconds: float | None = None, on_output: Callable[[bytes], None] | None = None
    ) -> CommandResult:
        """Run a shell command at the root of the work tree; nothing of it is left alive afterwards."""
        limits = self._settings.limits
        output = Output(self._outputs, shown_as=mounts.OUTPUTS)

        def feed(data: bytes) -> None:
            output.feed(data[: limits.output - output.total])
            if on_output is not None:
                on_output(data)

        try:
            outcome = await self._confined(
                command,
                feed=feed,
                room=lambda: output.total < limits.output,
                seconds=limits.seconds if seconds is None else seconds,
            )
        except SandboxError as error:
            raise SandboxError(_with(error.message, output.finish()), hint=error.hint) from error
        finally:
            output.close()
        shown = output.finish()
        return CommandResult(
            command, outcome.exit_code, outcome.ended, outcome.seconds, shown, output.total, output.path
        )

    async def read(self, path: str) -> bytes:
        """Return a file's bytes, of the work tree or of the kept outputs; raises ToolError when there is no such."""
        root = self.root
        if path.startswith(f"{mounts.OUTPUTS}/"):
            root, path = self._outputs, path.removeprefix(f"{mounts.OUTPUTS}/")
        return await asyncio.to_thread(files.read_file, root, path)

    async def write(self, path: str, data: bytes) -> None:
        """Write a file whole, keeping its mode and writing through a link inside the work tree."""
        await asyncio.to_thread(files.write_file, self.root, path, data)

    async def paths(self) -> list[str]:
        """List the files git would track; a name that is not UTF-8 comes with surrogate escapes."""
        if self._git_dir is None and not (self.root / ".git").exists():
            return await asyncio.to_thread(lambda: sorted(files.walk(self.root)))
        listed = bytearray()
        outcome = await self._confined(
            _LIST, feed=listed.extend, room=lambda: len(listed) < _LONGEST_LIST, seconds=self._settings.limits.seconds
        )
        if outcome.exit_code != 0:
            said = bytes(listed[-500:]).decode(errors="replace")
            raise SandboxError(_with("git cannot list the files of the work tree", said))
        present, _, deleted = bytes(listed).partition(b"\0\0")
        if listed.startswith(b"\0"):
            present, deleted = b"", b""
        names = set(present.split(b"\0")) - set(deleted.split(b"\0")) - {b""}
        return sorted(map(os.fsdecode, names))

    async def _confined(
        self, command: str, *, feed: Callable[[bytes], None], room: Callable[[], bool], seconds: float
    ) -> Outcome:
        if "\0" in command or len(command.encode(errors="surrogatepass")) > _LONGEST:
            raise ToolError("the command is too long or holds a NUL byte; write it to a file and run that")
        if self._git_dir is not None:
            mounts.check_git_place(self.root)
        try:
            group = self._cgroups.open(self._settings.limits)
        except OSError as error:
            raise SandboxError(f"the sandbox's limits cannot be set: {error}") from error
        try:
            return await Confined(
                group, feed=feed, room=room, disk_room=_disk_room(self.root, self._settings.limits.disk)
            ).run(
                self._bubblewrap,
                self._arguments,
                (self._shell, command),
                data=mounts.given_files(),
                seconds=seconds,
            )
        finally:
            group.remove()


def _disk_room(folder: Path, most: int) -> Callable[[], bool]:
    """Give what tells whether a disk has lost no more space than `most`, and keeps enough for everybody else."""

    def free() -> int:
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize

    before = free()

    def room() -> bool:
        now = free()
        return before - now < most and (now > _RESERVE or before - now < _RESERVE // 8)

    return room


def describe() -> str:
    """Say which sandbox this machine offers and what limits it; raises NoSandbox where it offers none."""
    version = ".".join(map(str, bubblewrap_version(find_bubblewrap())))
    calls = "" if seccomp.known(os.uname().machine) else f"; no system calls are filtered on {os.uname().machine}"
    return f"bubblewrap {version}; {find_cgroups().describe()}{calls}"


def _with(message: str, said: str) -> str:
    said = said.strip()
    return f"{message}: {said}" if said else message
