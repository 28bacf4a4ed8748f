"""A real MinIO server on this machine. `make minio` builds it, because MinIO publishes no packages.

MinIO has the licence AGPL-3.0. It is only a server of the tests: nothing of the project contains or distributes it.
"""

import functools
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import platformdirs

BUCKET = "a-bucket"
VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"
BINARY = Path(platformdirs.user_cache_dir("tfx-photo-pipeline")) / f"minio-{VERSION.rpartition('-')[2]}"
MISSING = "MinIO is not built: make minio"
_START_S = 30


def build() -> None:
    """Builds the server with Go, from source that Go's checksum database verifies, and prints its path."""
    if not BINARY.exists():
        _install()
    print(BINARY)


def _install() -> None:
    go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    if not go:
        sys.exit("Go is needed to build MinIO. On Debian: apt-get install golang-go")
    BINARY.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BINARY.parent) as folder:
        options = {"GOBIN": folder, "CGO_ENABLED": "0"}
        command = [go, "install", "-trimpath", "-ldflags=-s -w", f"github.com/minio/minio@{VERSION}"]
        subprocess.run(command, env={**os.environ, **options}, cwd=folder, check=True)
        (Path(folder) / "minio").replace(BINARY)


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[dict[str, str]]:
    """Serves an empty bucket from files in `folder`; yields the environment variables for clients. 0 is a free port."""
    user, password = secrets.token_hex(8), secrets.token_hex(16)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}
    environment |= {"MINIO_ROOT_USER": user, "MINIO_ROOT_PASSWORD": password}
    with socket.socket() as free:
        free.bind(("127.0.0.1", port))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    (folder / "data" / BUCKET).mkdir(parents=True)  # a folder is a bucket
    command = [BINARY, "server", str(folder / "data"), "--address", address]
    with (folder / "minio.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(server, address, folder / "minio.log")
        yield {
            "AWS_ENDPOINT_URL": f"http://{address}",
            "AWS_ACCESS_KEY_ID": user,
            "AWS_SECRET_ACCESS_KEY": password,
            "AWS_EC2_METADATA_DISABLED": "true",
            "no_proxy": "127.0.0.1",
        }
    finally:
        server.terminate()
        server.wait()


@functools.cache
def _bucket(address: str, user: str, password: str) -> Any:
    import boto3
    from botocore.config import Config

    session = boto3.session.Session(aws_access_key_id=user, aws_secret_access_key=password)
    config = Config(proxies={"http": ""}, region_name="us-east-1")
    return session.resource("s3", endpoint_url=address, config=config).Bucket(BUCKET)


def empty(environment: dict[str, str]) -> None:
    """Deletes the objects and the policy of the bucket, whatever the environment of the test is now."""
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    bucket = _bucket(*(environment[name] for name in names))
    bucket.objects.all().delete()
    bucket.Policy().delete()


def _wait(server: subprocess.Popen, address: str, log: Path) -> None:
    import requests

    end = time.monotonic() + _START_S
    while server.poll() is None and time.monotonic() < end:
        with suppress(requests.ConnectionError):
            if requests.get(f"http://{address}/", proxies={"http": ""}, timeout=5).status_code == 403:  # initialized
                return
        time.sleep(0.05)
    raise RuntimeError(f"MinIO did not start: {log.read_text()}")


if __name__ == "__main__":
    build()
