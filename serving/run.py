"""Runs uvicorn: in this process, or in several workers that share the port."""

import contextlib
import json
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
from functools import partial
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess, multiprocess

from pipeline.imports import uncollected
from serving import logs
from serving.protocol import Protocol
from serving.settings import SETTINGS, Settings

_STARTING_S = 120  # a worker that loads a large model does not answer the parent for seconds

_BACKLOG, _RESERVED = 512, 128  # connections that asyncio accepts at once; file descriptors for everything else
_MEMORY = "/dev/shm"  # noqa: S108 (the folder inside has a random name)

_log = logging.getLogger("serving")


class _Server(uvicorn.Server):
    """Ends at once while the model is loaded, because no request has begun; uvicorn would load it first."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stops; see the base class."""
        if not self.started:
            _log.info("stopped before a version was loaded")
            os._exit(0)
        super().handle_exit(sig, frame)


class _Worker(multiprocess.Process):
    """A worker whose death the parent notices at once.

    uvicorn keeps the worker's end of their pipe open in the parent. If the worker is killed before it answers a health
    check, the parent waits until `timeout_worker_healthcheck`, starts no other worker and ignores SIGTERM.
    """

    @property
    def server(self) -> uvicorn.Server:
        """The server of the worker's process."""
        self._server = self._server or _Server(self.config)
        return self._server

    def start(self) -> None:
        """Starts the process, which has its own copy of its end."""
        super().start()
        self.child_conn.close()


def _most_connections() -> int:
    """Allows as many open files as the system's limit, and returns how many of them may be connections.

    Without a free file descriptor, asyncio logs an error for each connection that it cannot accept, again and again.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # "unlimited" is not accepted everywhere
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if files == resource.RLIM_INFINITY else max(files - _BACKLOG - _RESERVED, _RESERVED)


def _application(token: str | None) -> Any:
    """Returns the application of a worker. The token reaches it through a pipe, so that no variable contains it."""
    with uncollected():
        from serving import app  # in the worker, because it imports TensorFlow

    return app.from_environment(token)


def serve(settings: Settings, listening: socket.socket, token: str | None) -> bool:
    """Serves until SIGINT or SIGTERM, answers the requests that have begun, and returns whether the server started."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # C++ messages of the import are not JSON
    os.environ[SETTINGS] = json.dumps(settings._asdict(), default=str)  # of paths
    config = uvicorn.Config(
        partial(_application, token),
        factory=True,
        backlog=_BACKLOG,
        http=partial(Protocol, headers_s=settings.timeout_s, most=_most_connections()),  # type: ignore[arg-type]
        workers=settings.workers,
        log_config=logs.CONFIG,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=int(settings.timeout_s) + 3,  # and 2 s for the rest of a body
        timeout_worker_healthcheck=_STARTING_S,
    )
    if settings.workers == 1:
        server = _Server(config)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # uvicorn raises the signal again when it has ended
        with contextlib.suppress(KeyboardInterrupt):
            server.run([listening])
        return server.started
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None  # a full disk would end the workers
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # before the workers import their metrics
        multiprocess.Process = _Worker  # type: ignore[misc]
        supervisor = Multiprocess(config, [listening])
        supervisor.run()
    return not any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes)
