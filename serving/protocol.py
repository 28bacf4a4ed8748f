"""HTTP/1.1 with a limit of time for the headers of a request; uvicorn has none."""

import asyncio
import logging
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_log = logging.getLogger("serving")


class Protocol(H11Protocol):
    """Closes a connection whose request line and headers are not complete in time.

    A client that sends a byte from time to time would otherwise hold a connection, and a file descriptor, forever.
    """

    def __init__(self, *args: Any, headers_s: float, **kwargs: Any):
        """Makes the protocol of a connection.

        Args:
          *args: see uvicorn's class.
          headers_s: seconds from the connection, or from the first byte of a later request, to the end of the headers.
          **kwargs: see uvicorn's class.
        """
        super().__init__(*args, **kwargs)
        self._headers_s = headers_s
        self._too_late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Stops the time when the headers are complete; starts it with the first byte of a request."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the time."""
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif not self._too_late:
            self._too_late = self.loop.call_later(self._headers_s, self._close)

    def _stop(self) -> None:
        if self._too_late:
            self._too_late.cancel()
            self._too_late = None

    def _close(self) -> None:
        _log.info({"message": f"the headers of a request were not complete after {self._headers_s:g} s"})
        self.transport.close()
