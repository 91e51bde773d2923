"""One command's processes: started behind a gate, limited, watched, and dead in the end."""

import asyncio
import json
import os
import resource
import signal
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mergewright.domain.errors import SandboxError
from mergewright.domain.sandbox import Ended
from mergewright.sandbox.cgroups import Group, lower

T = TypeVar("T")

FILE_SIZE = 2 * 1024**3
"""Bytes of the largest file that a command may write."""
_CHUNK = 256 * 1024
_START = 20.0
_DEATH = 20.0
_LOOK = 0.5
"""Seconds between two looks at the memory."""
# The shell waits for a line before it becomes the command: should we be killed before all limits are set, the line
# never comes and nothing has run.
_GATE = 'read -r go && exec "$0" -c "$1" </dev/null'


@dataclass(frozen=True)
class Outcome:
    """How the processes of a command came to their end."""

    ended: Ended
    exit_code: int | None
    seconds: float


class Confined:
    """One run of bubblewrap and all that is in it."""

    def __init__(
        self,
        group: Group,
        *,
        feed: Callable[[bytes], None],
        room: Callable[[], bool],
        disk_room: Callable[[], bool] = lambda: True,
    ) -> None:
        self._group = group
        self._feed = feed
        self._room = room
        """Whether more output may be kept."""
        self._disk_room = disk_room
        """Whether more may be written to the disk."""
        self._open: set[int] = set()
        self._dead = asyncio.Event()
        self._ended: Ended | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._listening: asyncio.Task[None] | None = None
        self._pid = 0
        self._told = b""
        """What bubblewrap has said of itself behind its first line."""
        self._init = -1
        """A handle on the first process inside; when it is gone, so is every other one."""

    async def run(
        self,
        bubblewrap: Path,
        arguments: Sequence[str],
        command: Sequence[str],
        *,
        data: Sequence[tuple[Sequence[str], bytes]],
        seconds: float,
    ) -> Outcome:
        """Run the command to its end, its limit or our cancellation; nothing of it is left alive after that.

        `data` are options of bubblewrap in which `{fd}` stands for a file with the content that follows.
        """
        try:
            output, output_in = self._pipe()
            status, status_in = self._pipe()
            block_out, block = self._pipe()
            gate_out, gate = self._pipe()
            inherited = [status_in, block_out]
            given = ["--json-status-fd", str(status_in), "--block-fd", str(block_out)]
            for options, content in data:
                inherited.append(self._memory_file(content))
                given += [option.format(fd=inherited[-1]) for option in options]
            # Not as plain arguments, which everybody on the machine can list.
            inherited.append(self._memory_file("\0".join([*given, *arguments]).encode()))

            async def start() -> asyncio.Task[None]:
                self._process = await asyncio.create_subprocess_exec(
                    *(str(bubblewrap), "--args", str(inherited[-1]), "--", "/bin/sh", "-c", _GATE, *command),
                    stdin=gate_out,
                    stdout=output_in,
                    stderr=asyncio.subprocess.STDOUT,
                    pass_fds=inherited,
                    env={},
                )
                for end in (output_in, status_in, block_out, gate_out):
                    self._shut(end)
                listening = self._listening = asyncio.create_task(self._listen(output))
                await self._hold(status)
                return listening

            begun = time.monotonic()
            try:
                listening = await _whole(start())
                with suppress(BrokenPipeError):
                    os.write(block, b"\n")
                    os.write(gate, b"\n")
                await self._watch(listening, begun + seconds)
            finally:
                await self._bury(block, gate)
            return self._outcome(status, time.monotonic() - begun)
        finally:
            for file in list(self._open):
                self._shut(file)

    async def _hold(self, status: int) -> None:
        """Learn the first process inside, and set the limits while it still waits."""
        try:
            async with asyncio.timeout(_START):
                line, self._told = await _first_line(status)
        except TimeoutError:
            raise SandboxError(f"bubblewrap did not start within {_START:.0f} seconds") from None
        if not line:
            raise SandboxError("bubblewrap did not start")
        self._pid = pid = int(json.loads(line)["child-pid"])
        try:
            self._init = os.pidfd_open(pid)
            self._open.add(self._init)
            asyncio.get_running_loop().add_reader(self._init, self._dead.set)
            self._group.add(pid)
            lower(pid, resource.RLIMIT_FSIZE, FILE_SIZE)
            lower(pid, resource.RLIMIT_CORE, 0)
        except ProcessLookupError:
            raise SandboxError("bubblewrap did not start") from None
        except OSError as error:
            raise SandboxError(f"the sandbox's limits cannot be set: {error}") from error

    async def _watch(self, listening: asyncio.Task[None], deadline: float) -> None:
        death = asyncio.create_task(self._dead.wait())
        try:
            while not self._dead.is_set():
                left = deadline - time.monotonic()
                if left <= 0:
                    return self._end(Ended.TIMEOUT)
                waited = {death} if listening.done() else {death, listening}
                await asyncio.wait(waited, timeout=min(left, _LOOK), return_when=asyncio.FIRST_COMPLETED)
                if listening.done():
                    listening.result()
                if self._ended is None and self._group.out_of_memory(self._pid):
                    self._end(Ended.MEMORY)
                if not self._disk_room():
                    self._end(Ended.DISK)
        finally:
            death.cancel()

    def _end(self, reason: Ended) -> None:
        if self._ended is None:
            self._ended = reason
            self._kill()

    def _kill(self) -> None:
        if self._init >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._init, signal.SIGKILL)

    async def _listen(self, output: int) -> None:
        """Take what is printed until nobody is left to print."""
        os.set_blocking(output, False)
        async with aclosing(_chunks(output, _CHUNK)) as chunks:
            async for data in chunks:
                if self._room():
                    self._feed(data)
                else:
                    self._end(Ended.OUTPUT)

    async def _bury(self, *doors: int) -> None:
        """Kill what still lives, wait until it is dead, and take its last words; `doors` are what it waits at."""
        self._kill()
        if self._init < 0:
            # Whoever is inside by now finds nobody at the gate, and goes.
            for door in doors:
                self._shut(door)
            if self._process is not None and self._process.returncode is None:
                self._process.kill()
        try:
            async with asyncio.timeout(_DEATH):
                if self._init >= 0:
                    await self._dead.wait()
                if self._process is not None:
                    await self._process.wait()
                if self._listening is not None:
                    await self._listening
        except TimeoutError:
            raise SandboxError("a process in the sandbox cannot be killed") from None
        finally:
            if self._listening is not None:
                self._listening.cancel()
            if self._init >= 0:
                asyncio.get_running_loop().remove_reader(self._init)

    def _outcome(self, status: int, seconds: float) -> Outcome:
        if self._ended is None and self._group.out_of_memory():
            return Outcome(Ended.MEMORY, None, seconds)
        if self._ended is not None:
            return Outcome(self._ended, None, seconds)
        with open(status, "rb", closefd=False) as pipe:
            last = self._told + pipe.read()
        if not last:
            raise SandboxError("bubblewrap ended before the command did")
        return Outcome(Ended.EXITED, int(json.loads(last)["exit-code"]), seconds)

    def _shut(self, file: int) -> None:
        # Once and no more: the number may be another file's by then.
        self._open.remove(file)
        os.close(file)

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe()
        self._open.update(ends)
        return ends

    def _memory_file(self, data: bytes) -> int:
        file = os.memfd_create("mergewright")
        self._open.add(file)
        os.write(file, data)
        os.lseek(file, 0, os.SEEK_SET)
        return file


async def _whole(start: Coroutine[object, object, T]) -> T:
    """Begin something as a whole although we are cancelled in the middle: half begun, nobody could end it."""
    task = asyncio.ensure_future(start)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _chunks(pipe: int, size: int) -> AsyncGenerator[bytes, None]:
    """Read a pipe as it fills, until its other end is closed."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(pipe, ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            with suppress(BlockingIOError):
                data = os.read(pipe, size)
                if not data:
                    return
                yield data
    finally:
        loop.remove_reader(pipe)


async def _first_line(pipe: int) -> tuple[bytes, bytes]:
    """Read a line, which comes in pieces, and what came with it; nothing when the other end is closed."""
    read = b""
    async with aclosing(_chunks(pipe, 4096)) as chunks:
        async for data in chunks:
            read += data
            line, end, rest = read.partition(b"\n")
            if end:
                return line, rest
    return b"", b""
