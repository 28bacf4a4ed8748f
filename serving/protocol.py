"""HTTP/1.1 with limits of time for the headers of a request and for reading an answer; uvicorn has none."""

import asyncio
import logging
import time
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_LOG_S = 60.0

_log = logging.getLogger("serving")


class Protocol(H11Protocol):
    """Closes a connection whose request line and headers are not complete in time, or whose client reads nothing.

    A client that sends a byte from time to time, or does not read its answer, would otherwise hold a connection, a file
    descriptor and the answer forever.
    """

    _full_logged = -_LOG_S  # of time.monotonic()

    def __init__(self, *args: Any, headers_s: float, most: int, **kwargs: Any):
        """Makes the protocol of a connection.

        Args:
          *args: see uvicorn's class.
          headers_s: seconds from the connection, or from the first byte of a later request, to the end of the headers;
            also how long a client may read nothing of an answer.
          most: the largest number of connections; further ones are closed at once.
          **kwargs: see uvicorn's class.
        """
        super().__init__(*args, **kwargs)
        self._headers_s = headers_s
        self._most = most
        self._too_late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # `pause_writing` is called for each byte that is not sent
        if len(self.connections) > self._most:
            self._refuse()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Stops the time when the headers are complete; starts it with the first byte of a request."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the time."""
        self._stop()
        self._stop_reading()
        super().connection_lost(exc)

    def _unsupported_upgrade_warning(self) -> None:
        """Logs nothing: an upgrade is ignored, as HTTP allows. uvicorn would log that a package is missing."""

    def pause_writing(self) -> None:
        """Starts the time in which the client has to read a part of the answer."""
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        """Stops this time: everything is sent."""
        self._stop_reading()
        super().resume_writing()

    def _watch_reading(self) -> None:
        size = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self._headers_s, self._end_unless_read, size)

    def _stop_reading(self) -> None:
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def _end_unless_read(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._watch_reading()
            return
        _log.info({"message": f"a client read nothing of its answer for {self._headers_s:g} s"})
        self.transport.abort()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif not self._too_late:
            self._too_late = self.loop.call_later(self._headers_s, self._close)

    def _stop(self) -> None:
        if self._too_late:
            self._too_late.cancel()
            self._too_late = None

    def _refuse(self) -> None:
        """Closes the connection; the log has a line for it once a minute."""
        self.transport.abort()
        if time.monotonic() > Protocol._full_logged + _LOG_S:
            Protocol._full_logged = time.monotonic()
            _log.warning("%d connections are open; others are closed, until there are fewer", self._most)

    def _close(self) -> None:
        _log.info({"message": f"the headers of a request were not complete after {self._headers_s:g} s"})
        self.transport.close()
