"""HTTP/1.1 with limits on headers, on pipelined requests and on the time for reading an answer; uvicorn has none."""

import asyncio
import logging
import sys
import time
from enum import Enum
from typing import Any

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.errors import RequestError, error_answer

_LOG_S = 60.0
_MOST_BYTES = 2**16  # without an end of the headers, a part of the body, or the end of the request
_MOST_PIPELINED = 16  # requests that wait for the answer to one before

_log = logging.getLogger("serving")


class _Part(Enum):
    """What the next byte belongs to: the headers of a request, its body, or a request that has not begun."""

    HEADERS = 0
    BODY = 1
    NEXT = 2


class Protocol(HttpToolsProtocol):
    """Closes a connection whose headers are not complete in time or too large, or whose client reads nothing.

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
        self._part = _Part.HEADERS
        self._bytes = 0  # since the last completed part

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the time."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # `pause_writing` is called for each byte that is not sent
        if len(self.connections) > self._most:
            self._refuse()
        else:
            self._watch()

    def data_received(self, data: bytes) -> None:
        """Starts the time with the first byte of a request, and stops it when the headers are complete."""
        if self._part is _Part.NEXT:
            self._part = _Part.HEADERS
        self._bytes += len(data)
        super().data_received(data)
        if self._bytes > _MOST_BYTES and not self.transport.is_closing():
            self._end(error_answer(400, f"the headers or trailers of the request have more than {_MOST_BYTES:,} bytes"))
        if self._part is _Part.HEADERS:
            self._watch()
        else:
            self._stop()

    def on_message_begin(self) -> None:
        """A request begins."""
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise RequestError(400, f"more than {_MOST_PIPELINED} requests wait for the answer to one before")
        super().on_message_begin()
        self._part = _Part.HEADERS

    def on_header(self, name: bytes, value: bytes) -> None:
        """Adds a header; a trailer, which follows the body, is left out."""
        if self._part is _Part.HEADERS:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The headers are complete."""
        super().on_headers_complete()
        self._part, self._bytes = _Part.BODY, 0

    def on_body(self, body: bytes) -> None:
        """A part of the body is there."""
        super().on_body(body)
        self._bytes = 0

    def on_message_complete(self) -> None:
        """The request is complete."""
        super().on_message_complete()
        self._part, self._bytes = _Part.NEXT, 0

    def send_400_response(self, msg: str) -> None:
        """Answers what is not HTTP, and closes the connection."""
        error = sys.exception()  # of the parser; that of a method here is its context
        reason = (error and error.__context__) or error or msg
        self._end(error_answer(400, f"the request is not valid HTTP/1.1: {reason}"))

    def _end(self, answer: Response) -> None:
        headers = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n" + headers + b"\r\n" + answer.body)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade is ignored, as HTTP allows; uvicorn would log that a package is missing."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the time."""
        self._stop()
        self._stop_reading()
        super().connection_lost(exc)

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
        self._too_late = self._too_late or self.loop.call_later(self._headers_s, self._close)

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
