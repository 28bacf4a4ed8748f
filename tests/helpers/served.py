"""Serves a small model: in a thread of this process, or in processes as a user starts them."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO

import requests
import uvicorn

from serving import app, ports, tokens
from serving.protocol import Protocol
from serving.settings import Settings
from tests.conftest import ROOT
from tests.helpers import records

NAME = "pets"
PHOTOS = [records.jpeg((40 * index, 250 - 40 * index, 30 * index)) for index in range(6)]
SMALL = Settings(NAME, NAME, port=0, max_batch=4, max_queue=16, max_body_mb=1, timeout_s=5.0, poll_s=0.05)


# TensorFlow 2.21 writes these lines at its import, whatever TF_CPP_MIN_LOG_LEVEL is
_OF_TENSORFLOW = re.compile(r"WARNING: All log messages before absl::InitializeLog|[IWEF]\d{4} \d\d:\d\d")


class Client(requests.Session):
    """Sends requests to a server, by path."""

    def __init__(self, url: str, grpc: str = ""):
        super().__init__()
        self.url = url
        self.model = f"{url}/v1/models/{NAME}"
        self.grpc = grpc
        self.trust_env = False  # no proxy

    def request(self, method, url, **options):
        return super().request(method, self.url + url if url.startswith("/") else url, **{"timeout": 30} | options)

    def predict(self, body=None, end=":predict", **options) -> requests.Response:
        """Posts a JSON body, or what `options` has, to the model."""
        return self.post(f"/v1/models/{NAME}{end}", json=body, **options)

    @property
    def address(self) -> tuple[str, int]:
        """The host and the port."""
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    def connection(self) -> socket.socket:
        """Returns a connection for bytes that no client sends."""
        return socket.create_connection(self.address, timeout=30)

    def exchange(self, *parts: bytes, pause: float = 0.0) -> str:
        """Sends bytes, with a pause after each part, and returns everything that is received."""
        with self.connection() as connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    def wait_for(self, version: int) -> None:
        """Waits until a version is served."""
        for _ in range(600):
            if self.get(f"/v1/models/{NAME}/versions/{version}").status_code == 200:
                return
            time.sleep(0.05)
        raise AssertionError(self.get(f"/v1/models/{NAME}").text)


@contextlib.contextmanager
def in_thread(settings: Settings) -> Iterator[Client]:
    """Serves in a thread of this process, whose TensorFlow is already imported."""
    settings = settings._replace(grpc_port=0)
    with socket.create_server((settings.host, 0)) as listening, ports.reserved(settings) as settings:
        http = partial(Protocol, headers_s=settings.timeout_s, most=200)
        token = tokens.read(settings.token_file) if settings.token_file else None
        config = uvicorn.Config(app.make(settings, token), http=http, log_config=None, access_log=False, ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            grpc = ports.address(settings.host, settings.grpc_port)
            yield Client(f"http://{settings.host}:{listening.getsockname()[1]}", grpc)
        finally:
            server.should_exit = True
            thread.join()


class Process(Client):
    """A server as a user starts it."""

    def __init__(self, log: IO[str], model: Path, *flags: object, program: Sequence[str]):
        command = [sys.executable, *program, "--model", str(model), "--name", NAME, "--port", "0"]
        self._log = log
        self.process = subprocess.Popen(
            [*command, *map(str, flags)], cwd=ROOT, stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        super().__init__(re.search(r"http://[^/]+", self.process.stdout.readline())[0])

    def log(self) -> str:
        """Returns the log so far. The server shares the file's position, which must not change."""
        return os.pread(self._log.fileno(), 2**26, 0).decode()

    def stopped(self) -> tuple[int, list[dict]]:
        """Waits for the end; returns the exit code and the lines of the log."""
        self.process.wait(timeout=60)
        lines = [line for line in self.log().splitlines() if not _OF_TENSORFLOW.match(line)]
        return self.process.returncode, [json.loads(line) for line in lines]


@contextlib.contextmanager
def process(model: Path, *flags: object, program: Sequence[str] = ("-m", "serving")) -> Iterator[Process]:
    """Starts a server, and stops it at the end if it runs."""
    with tempfile.TemporaryFile("w+") as log:  # a pipe that nobody reads stops the server when it is full
        started = Process(log, model, *flags, program=program)
        try:
            yield started
        finally:
            started.process.terminate()
            started.process.wait(timeout=60)
