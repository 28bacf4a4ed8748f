"""Reads the body of a request, within the limits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from python_multipart.multipart import MultipartParseError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from serving.errors import RequestError

_MOST_FILES = 1000
_DIGITS = 20  # of a Content-Length; int() refuses longer numbers with another error
_MOST_BODIES = 8  # in memory at once, if all have the largest size


class Body(NamedTuple):
    """The body: photos, or None and JSON."""

    content: bytes
    photos: list[bytes] | None = None


class Reader:
    """Reads the bodies of requests, and limits how much memory they use together."""

    def __init__(self, most: int, timeout_s: float):
        """Makes a reader; see `read`."""
        self.most = most
        self._most_held = _MOST_BODIES * most
        self._timeout_s = timeout_s
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[Body]:
        """Yields the body of a request: JSON, a photo (`image/…`) or `multipart/form-data`.

        Raises:
          RequestError: 400, when the form is damaged; 408, when the body is not complete after `timeout_s`; 413, when
            it is larger than `most` bytes; 429, when all bodies in memory have more than 8 × `most` bytes.
        """
        held = 0

        async def chunks() -> AsyncGenerator[bytes, None]:
            nonlocal held
            async for chunk in _stream(request):
                if held + len(chunk) > self.most:
                    self._too_large()
                if self._held + len(chunk) > self._most_held:
                    raise RequestError(429, "too many bytes of requests are in memory; send the request again later", 1)
                held += len(chunk)
                self._held += len(chunk)
                yield chunk

        try:
            yield await self._complete(request, chunks())
        finally:
            self._held -= held

    async def _complete(self, request: Request, chunks: AsyncGenerator[bytes, None]) -> Body:
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:_DIGITS]) > self.most:
            self._too_large()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await _body(request, chunks)
        except TimeoutError:
            text = f"the body was not complete after {self._timeout_s:g} s; send the request again"
            raise RequestError(408, text) from None

    def _too_large(self) -> None:
        raise RequestError(
            413, f"expected a body of at most {self.most:,} bytes (--max-body-mb); send smaller or fewer photos"
        )


async def _stream(request: Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect:
        raise RequestError(400, "the connection was closed before the body was complete; send it again") from None


async def _body(request: Request, chunks: AsyncGenerator[bytes, None]) -> Body:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return Body(b"", await _files(request, chunks))
    content = b"".join([chunk async for chunk in chunks])
    if kind.startswith("image/") or kind == "application/octet-stream":
        return Body(b"", [content])
    return Body(content)


class _Form(MultiPartParser):
    """A form in memory, whose size `Reader` limits; no photo is written to a file."""

    spool_max_size = 0
    ended = False

    def on_end(self) -> None:
        self.ended = True


async def _files(request: Request, chunks: AsyncGenerator[bytes, None]) -> list[bytes]:
    parser = _Form(request.headers, chunks, max_files=_MOST_FILES)
    try:
        form = await parser.parse()
    except (MultiPartException, MultipartParseError, KeyError) as error:
        raise RequestError(400, f"the multipart form is damaged: {error}; send each photo as a file") from None
    parts = [value for _, value in form.multi_items()]
    files = [part for part in parts if isinstance(part, UploadFile)]
    try:
        if not parser.ended:
            raise RequestError(400, "the multipart form is damaged: it has no end; send each photo as a file")
        if not files or len(files) < len(parts):
            raise RequestError(400, "expected a form of files, each a photo; curl sends one with -F photo=@rose.jpg")
        return [await file.read() for file in files]
    finally:
        await form.close()
