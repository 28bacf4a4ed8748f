"""Buckets of S3, MinIO and Google Cloud Storage, as Kubeflow's launcher sees them: every object is a file.

Libraries with folders (TensorFlow's, fsspec's) hide the empty objects that some programs create for folders. The
launcher does not, so this module uses boto3 and google-cloud-storage. These read their credentials and the server's
address from the environment.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from errors import UserError
from storage import certificates, uris

_KEY = re.compile(r"[\w.=/-]*")  # part of the local paths, which Beam and TensorFlow must not read as patterns
_SECRETS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_ENDPOINT = "AWS_ENDPOINT_URL"
_TIMEOUT_S, _RETRY_S = 20, 2


class BucketError(Exception):
    """A bucket cannot be reached, or it refused a request."""


class Object(NamedTuple):
    """An object of a bucket: its name and its size in bytes."""

    name: str
    size: int


class Bucket(Protocol):
    """A bucket; all methods raise BucketError."""

    def objects(self, prefix: str) -> Iterator[Object]:
        """Yields all objects whose names start with `prefix`, sorted by name."""

    def download(self, name: str, path: Path) -> None:
        """Copies an object to a file."""

    def upload(self, path: Path, name: str) -> None:
        """Copies a file to an object."""


def split(uri: str) -> tuple[str, str, str] | None:
    """Returns scheme, bucket and key of a URI; None if its scheme is not that of a bucket.

    >>> split("s3://bucket/root/model"), split("/a/path")
    (('s3', 'bucket', 'root/model'), None)
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in uris.SCHEMES:
        return None
    bucket, _, key = rest.partition("/")
    return scheme, bucket, key.strip("/")


def check(uri: str) -> str:
    """Returns the URI of a store without a slash at its end, after checking that its bucket can be listed.

    Raises:
      UserError: when the URI is malformed, the environment lacks the credentials, or the bucket cannot be listed.
    """
    parsed = uris.parse(uri)
    if parsed is None or not _KEY.fullmatch(parsed.key):
        received = f"{uris.shown(uri)}{uris.rule(uri)}"
        raise UserError(f"--store: expected s3://BUCKET/FOLDER, minio://… or gs://…, received {received}")
    scheme, bucket, folder = parsed
    needed = {"s3": _SECRETS, "minio": (*_SECRETS, _ENDPOINT), "gs": ()}[scheme]
    if missing := [name for name in needed if not os.environ.get(name)]:
        raise UserError(f"--store {uri}: expected {', '.join(needed)} in the environment; set {', '.join(missing)}")
    certificates.check(os.environ.get("STORAGE_EMULATOR_HOST" if scheme == "gs" else _ENDPOINT) or "https://")
    try:
        next(open_bucket(scheme, bucket).objects(folder), None)
    except BucketError as error:
        raise UserError(f"--store {uri}: cannot list it: {error}; check its name and the environment") from None
    return uris.without_slash(uri)


def check_data(uri: str) -> None:
    """Checks that a folder of data in a bucket has an object, unless the bucket cannot be listed.

    Raises:
      UserError: when it has none.
    """
    if place := split(uri):
        scheme, bucket, folder = place
        try:
            found = next(open_bucket(scheme, bucket).objects(f"{folder}/" if folder else ""), None)
        except BucketError:  # a bucket with other credentials, which the task may read
            return
        if found is None:
            raise UserError(f"expected records in {uri}, received an empty folder; upload them, or correct --data")


def open_bucket(scheme: str, name: str) -> Bucket:
    """Returns a bucket; this sends no request.

    Raises:
      BucketError: when Google's libraries find no credentials.
    """
    return _Google(name) if scheme == "gs" else _S3(name)


class _S3:
    def __init__(self, bucket: str):
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": 3},
            request_checksum_calculation="when_required",  # as the launcher: not every server knows the new checksums
            s3={"addressing_style": "path" if os.environ.get(_ENDPOINT) else "auto"},
        )
        self._bucket = bucket
        with _one_error():
            self._client = boto3.session.Session().client("s3", config=config)

    def objects(self, prefix: str) -> Iterator[Object]:
        with _one_error():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
                for found in page.get("Contents", ()):
                    yield Object(found["Key"], found["Size"])

    def download(self, name: str, path: Path) -> None:
        with _one_error():
            self._client.download_file(self._bucket, name, str(path))

    def upload(self, path: Path, name: str) -> None:
        with _one_error():
            self._client.upload_file(str(path), self._bucket, name)


class _Google:
    def __init__(self, bucket: str):
        from google.cloud.storage import Client

        with _one_error():
            self._client: Any = Client(project=None)  # objects need no project
        self._bucket = self._client.bucket(bucket)

    def objects(self, prefix: str) -> Iterator[Object]:
        from google.cloud.storage.retry import DEFAULT_RETRY

        retry = DEFAULT_RETRY.with_deadline(_RETRY_S)
        with _one_error():
            for found in self._client.list_blobs(self._bucket, prefix=prefix, retry=retry):
                yield Object(found.name, found.size)

    def download(self, name: str, path: Path) -> None:
        with _one_error():
            self._bucket.blob(name).download_to_filename(str(path))

    def upload(self, path: Path, name: str) -> None:
        with _one_error():
            self._bucket.blob(name).upload_from_filename(str(path))


@contextmanager
def _one_error() -> Iterator[None]:
    """Translates the libraries' errors into BucketError with one line of text."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError, GoogleAPIError, GoogleAuthError, RequestException, ValueError) as e:
        raise BucketError(" ".join(str(e).split())) from e
