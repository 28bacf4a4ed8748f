"""What happens to each request before and after its route: the log, the rest of a body, the host and the token."""

import asyncio
import contextlib
import hmac
import logging
import re
import time

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import errors, metrics, page, tokens, verdicts

_OPEN = {"/healthz", "/readyz", *page.OPEN}  # paths without a token
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_DRAIN_S = 2.0
_LONGEST = 200  # characters of a path in the log
_VERSION = "X-Model-Version"

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9.-]+))(?::[0-9]{0,5})?", re.ASCII | re.IGNORECASE)

_log = logging.getLogger("serving")


class Log:
    """Counts each request, logs a line of JSON for it, without the content of photos, and names the version.

    TensorFlow Serving's answers have no place for the version, so a header has it.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_and_keep_status(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if "status" in message and "version" in scope.get("state", {}):
                MutableHeaders(scope=message)[_VERSION] = str(scope["state"]["version"])
            await send(message)

        try:
            await self._app(scope, receive, send_and_keep_status)
        finally:
            _write(scope, status, time.perf_counter() - start)


def _write(scope: Scope, status: int, seconds: float) -> None:
    state, path = scope.get("state", {}), scope["path"]
    action = state.get("action", path if path in _OPEN else "other")
    metrics.count_request(action, status, state.get("version", ""), seconds)
    line = {"method": scope["method"], "path": path[:_LONGEST], "status": status, "ms": round(seconds * 1000, 1)}
    _log.info(line | {key: state[key] for key in ("version", "photos") if key in state})


class Drain:
    """Reads the rest of a body before the answer, and closes the connection if the rest does not come.

    A client that still sends would see a closed connection, not the answer, or hold the connection as long as it likes.
    """

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        more = scope["type"] == "http"

        async def receive_and_keep_more() -> Message:
            nonlocal more
            message = await receive()
            more = more and message.get("more_body", False)
            return message

        async def drain() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DRAIN_S):
                    while more:
                        await receive_and_keep_more()

        async def send_after_body(message: Message) -> None:
            if more and "status" in message:
                if "expect" not in Headers(scope=scope):  # it waits for "100 Continue"
                    await drain()
                if more:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, receive_and_keep_more, send_after_body)


class Guard:
    """Refuses requests with two lengths, for other hosts, and without the token."""

    def __init__(self, app: ASGIApp, host: str, token: str | None):
        """Makes a guard.

        Args:
          app: the application behind it.
          host: the address that the server listens on. On a loopback address, other Host headers are refused, to
            prevent DNS rebinding.
          token: the bearer token; None accepts all requests.
        """
        self._app = app
        self._hosts = LOOPBACK if host in LOOPBACK else None
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        answer = self._refusal(scope) if scope["type"] == "http" else None
        await (answer or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:  # a proxy may take the other for the end
            text = "expected Content-Length or Transfer-Encoding, received both; send one of them"
            return errors.error_answer(400, text, {"Connection": "close"})
        host = headers.get("host", "")
        if self._hosts and _hostname(host) not in self._hosts:
            text = f"expected one of the hosts {', '.join(sorted(self._hosts))}, received {errors.brief(host)}"
            return errors.error_answer(400, f"{text}; for other names, start the server with --host")
        if self._token and scope["path"] not in _OPEN:
            query = QueryParams(scope.get("query_string", b""))
            if scope["path"] == verdicts.REPORT and "signed" in query:
                return self._refusal_of_link(query)
            kind, _, given = headers.get("authorization", "").partition(" ")
            if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
                text = "expected the header 'Authorization: Bearer TOKEN', received none or another token"
                return errors.error_answer(401, text, {"WWW-Authenticate": "Bearer"})
        return None

    def _refusal_of_link(self, query: QueryParams) -> ASGIApp | None:
        if tokens.is_signed(self._token or "", query.get("version", ""), query["signed"]):
            return None
        text = "expected a link to a report that is less than an hour old, received another; send the photo again"
        return errors.error_answer(401, text)


def _hostname(host: str) -> str | None:
    """Returns the name without the port; None for what is not a Host header, such as `evil.example@localhost`."""
    found = _HOST.fullmatch(host)
    return (found["ipv6"] or found["name"]).lower() if found else None
