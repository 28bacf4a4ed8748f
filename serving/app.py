"""The server's application: routes, authorisation, limits, logs, and the thread that looks for new versions."""

import asyncio
import hmac
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import metrics
from serving.batching import Batcher, Limits
from serving.bodies import Reader
from serving.errors import RequestError
from serving.rest import Rest
from serving.run import SETTINGS
from serving.settings import Settings
from serving.versions import Versions

_PARALLEL = 2  # calls of the model at once: one decodes photos while the other computes
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_OPEN = {"/healthz", "/readyz"}  # paths without a token

_log = logging.getLogger("serving")


def from_environment() -> Starlette:
    """Returns the application of a worker process."""
    values = json.loads(os.environ[SETTINGS])
    file = Path(values["token_file"]) if values["token_file"] else None
    return make(Settings(**values | {"token_file": file}))


def make(settings: Settings) -> Starlette:
    """Returns the application."""
    executor = ThreadPoolExecutor(_PARALLEL, "model")
    limits = Limits(settings.max_batch, settings.max_queue, settings.timeout_s)
    versions = Versions(settings.model, settings.name, lambda run: Batcher(run, limits, executor, _PARALLEL))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(versions.refresh)
        watch = asyncio.create_task(_watch(versions, settings.poll_s))
        yield
        watch.cancel()
        executor.shutdown(wait=False, cancel_futures=True)

    handlers: Any = {RequestError: _refused, HTTPException: _not_found, Exception: _failed}
    token = settings.token_file.read_text().strip() if settings.token_file else None
    return Starlette(
        routes=Rest(versions, Reader(settings.max_body_mb * 2**20, settings.timeout_s)).routes(),
        exception_handlers=handlers,
        middleware=[
            Middleware(_Log),
            Middleware(TrustedHostMiddleware, allowed_hosts=_hosts(settings.host)),
            Middleware(_Token, token=token),
        ],
        lifespan=lifespan,
    )


def _hosts(host: str) -> list[str]:
    """Returns the accepted Host headers. On a loopback address, others are refused to prevent DNS rebinding."""
    return ["127.0.0.1", "localhost", "[::1]"] if host in _LOOPBACK else ["*"]


async def _watch(versions: Versions, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await asyncio.to_thread(versions.refresh)
        except Exception:  # a file system that does not answer must not end the thread
            _log.exception("cannot look for new versions")


async def _refused(request: Request, error: RequestError) -> Response:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    return JSONResponse({"error": str(error)}, error.status, headers)


async def _not_found(request: Request, error: HTTPException) -> Response:
    text = f"{error.detail}: {request.method} {request.url.path}"
    return JSONResponse({"error": text}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed; its log has the reason"}, 500)


class _Token:
    """Refuses requests without the bearer token; without a token, all requests pass."""

    def __init__(self, app: ASGIApp, token: str | None):
        self._app = app
        self._token = token.encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._token and scope["path"] not in _OPEN:
            kind, _, given = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
            if kind.lower() != b"bearer" or not hmac.compare_digest(given.strip(), self._token):
                text = "expected the header 'Authorization: Bearer TOKEN', received none or another token"
                await JSONResponse({"error": text}, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Log:
    """Counts each request, and logs a line of JSON for it, without the content of photos."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - start
            state = scope.get("state", {})
            action = state.get("action", scope["path"] if scope["path"] in _OPEN else "other")
            metrics.REQUESTS.labels(action, status).inc()
            metrics.SECONDS.labels(action).observe(seconds)
            line = {"method": scope["method"], "path": scope["path"], "status": status, "ms": round(seconds * 1000, 1)}
            _log.info(line | {key: state[key] for key in ("version", "photos") if key in state})
