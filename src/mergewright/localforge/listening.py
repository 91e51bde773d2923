"""The server that a forge runs in a thread: it ends as soon as it is told to."""

import asyncio
import socket
import time
from contextlib import suppress

import uvicorn

GRACE_SECONDS = 2.0
LOOKS_EVERY = 0.002


class Server(uvicorn.Server):
    """Uvicorn, without its waits: it looks ten times a second whether to end, and then waits once more."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """Tell it to end, from any thread."""
        self.should_exit = True
        # Where there is no loop yet, it looks before it waits.
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Each tenth tick renews the date in the answers: here, each second's.
        tick = 0
        while not await self.on_tick(tick):
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._told.wait(), 1)
            tick += 10

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        deadline = time.monotonic() + GRACE_SECONDS
        # Uvicorn tells nobody when the last of them has gone.
        while (state.connections or state.tasks) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(LOOKS_EVERY)
        for task in state.tasks:
            task.cancel()
        await self.lifespan.shutdown()
