"""Connections that do not wait for ever: who takes too long to say what they want is let go of."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 60.0
"""Seconds in which a request has to be here as a whole; its answer may take as long as it likes."""


class Connection(H11Protocol):
    """A connection of uvicorn's, which waits for requests without end where they come in drops."""

    patience = PATIENCE

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._late = self.loop.call_later(self.patience, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete:
            self._here()
        elif self._late is None and not self.transport.is_closing():
            # Not anew with each drop: all of them have to come in this time.
            self._late = self.loop.call_later(self.patience, self.transport.close)

    def _here(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
