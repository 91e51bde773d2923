"""Connections that neither wait for ever nor take without end: who never comes to say what is wanted is let go of."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PATIENCE = 60.0
"""Seconds in which a request has to be here as a whole; its answer may take as long as it likes."""
HEAD = 64 * 1024
"""Bytes of a request's head, besides the first piece that comes in."""
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Connection(HttpToolsProtocol):
    """A connection of uvicorn's, which waits without end for requests that come in drops, and for heads without end."""

    patience = PATIENCE

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._late: asyncio.TimerHandle | None = None
        self._in_head = False
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._late = self.loop.call_later(self.patience, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        in_head = self._in_head
        super().data_received(data)
        self._head = self._head + len(data) if in_head and self._in_head else 0
        if self._head > HEAD:
            self.transport.write(TOO_LARGE)
            self.transport.close()
        elif self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete:
            self._here()
        elif self._late is None and not self.transport.is_closing():
            # Not anew with each drop: all of them have to come in this time.
            self._late = self.loop.call_later(self.patience, self.transport.close)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def _here(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
