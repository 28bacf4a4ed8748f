"""The server's application: its parts, its answers for errors, and the task that looks for new versions."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from serving import errors, grpc_api, keeping, metrics
from serving.batching import Batcher, Limits
from serving.bodies import Reader
from serving.errors import RequestError
from serving.middleware import LOOPBACK, Drain, Guard, Log
from serving.page import Page
from serving.rest import Rest
from serving.settings import SETTINGS, Settings, Share
from serving.traffic import Traffic
from serving.verdicts import Verdicts
from serving.versions import Versions

_CALLS = 2  # of the model at once; more have smaller batches: docs/decisions/serving.md


def from_environment(token: str | None) -> Starlette:
    """Returns the application of a worker process; `make` describes the token."""
    values = json.loads(os.environ[SETTINGS])
    paths = {key: Path(values[key]) for key in ("token_file", "keep") if values[key]}
    shares = {key: Share(*values[key]) for key in ("canary", "shadow") if values[key]}
    metrics.forget_dead_workers()
    return make(Settings(**values | paths | shares), token)


def make(settings: Settings, token: str | None = None) -> Starlette:
    """Returns the application.

    Args:
      settings: the settings.
      token: the content of `token_file`, which is read once: a worker that starts later has the same token.
    """
    executors = [ThreadPoolExecutor(1, f"model-{index}") for index in range(_CALLS)]
    limits = Limits(settings.max_batch, settings.max_queue, settings.timeout_s)
    expected = {share.alias for share in (settings.canary, settings.shadow) if share}
    versions = Versions(settings.model, settings.name, lambda run: Batcher(run, limits, executors), expected)
    traffic = Traffic(versions, settings.canary, settings.shadow)
    reader = Reader(settings.max_body_mb * 2**20, settings.timeout_s)
    keeper = keeping.of_settings(settings)
    keep = keeper.keep if keeper else keeping.no_keep

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(versions.refresh)
        tasks = [asyncio.create_task(_watch(versions, settings.poll_s)), asyncio.create_task(traffic.run_shadows())]
        with keeper or nullcontext():
            if settings.grpc_port is None:
                yield
            else:
                async with grpc_api.serving(versions, traffic, settings, token, keep):
                    yield
        for task in tasks:
            task.cancel()
        for executor in executors:
            executor.shutdown(wait=False, cancel_futures=True)

    handlers: Any = {RequestError: _refused, HTTPException: _not_routed, Exception: _failed}
    app = Starlette(
        routes=[
            *Rest(versions, traffic, reader, settings.max_queue, keep).routes(),
            *Page(versions, settings.keep_photos).routes(),
            *Verdicts(versions, token, shows_reports=bool(token) or settings.host in LOOPBACK).routes(),
        ],
        exception_handlers=handlers,
        middleware=[Middleware(Log), Middleware(Drain), Middleware(Guard, host=settings.host, token=token)],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # a redirect would contain the Host header
    return app


async def _watch(versions: Versions, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(versions.refresh)


async def _refused(request: Request, error: RequestError) -> Response:
    headers = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
    return errors.error_answer(error.status, str(error), headers)


async def _not_routed(request: Request, error: HTTPException) -> Response:
    return errors.error_answer(error.status_code, error.detail, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    return errors.error_answer(500, "the server failed; its log has the reason")
