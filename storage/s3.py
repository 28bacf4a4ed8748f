"""Reads and writes files in S3 and MinIO buckets, given s3:// or minio:// URIs.

Both schemes mean the same: boto3 takes the server and the credentials from the environment (AWS_ENDPOINT_URL,
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or from the machine's role. boto3 is imported only when a file is accessed.
All functions raise OSError if the server refuses or cannot be reached, FileNotFoundError if a file is missing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

SCHEMES = ("s3", "minio")
_MISSING = ("404", "NoSuchKey", "NotFound", "NoSuchBucket")
_CONFLICTS = ("412", "PreconditionFailed", "409", "ConditionalRequestConflict")
_MOST = 1000  # objects that one request deletes


class File(NamedTuple):
    """An object below a folder: its path relative to the folder, its size in bytes, and its time in seconds."""

    name: str
    size: int
    time: float


def is_s3(uri: str | Path) -> bool:
    """Returns whether this is a s3:// or minio:// URI.

    >>> is_s3("minio://bucket/key"), is_s3("gs://bucket/key"), is_s3("/a/path")
    (True, False, False)
    """
    return str(uri).partition("://")[0] in SCHEMES and "://" in str(uri)


def as_s3(uri: str) -> str:
    """Returns a minio:// URI as s3://, the only scheme that Beam knows; other URIs do not change.

    >>> as_s3("minio://bucket/key"), as_s3("gs://bucket/key")
    ('s3://bucket/key', 'gs://bucket/key')
    """
    return f"s3://{uri.removeprefix('minio://')}" if uri.startswith("minio://") else uri


def entries(folder: str) -> Iterator[tuple[str, bool]]:
    """Yields (name, is folder) for each entry of a folder."""
    bucket, prefix = _parts(folder, folder=True)
    for page in _pages(folder, Bucket=bucket, Prefix=prefix, Delimiter="/"):
        for each in page.get("CommonPrefixes", ()):
            yield each["Prefix"].removeprefix(prefix).rstrip("/"), True
        for each in page.get("Contents", ()):
            if name := each["Key"].removeprefix(prefix):
                yield name, False


def files(folder: str) -> Iterator[File]:
    """Yields all objects below a folder."""
    bucket, prefix = _parts(folder, folder=True)
    for page in _pages(folder, Bucket=bucket, Prefix=prefix):
        for each in page.get("Contents", ()):
            if not each["Key"].endswith("/"):
                yield File(each["Key"].removeprefix(prefix), each["Size"], each["LastModified"].timestamp())


def stat(uri: str) -> File | None:
    """Returns a file's size and time; None if there is no such file."""
    bucket, key = _parts(uri)
    try:
        with _as_os_error(uri):
            found = _client().head_object(Bucket=bucket, Key=key)
    except FileNotFoundError:
        return None
    return File(key.rpartition("/")[2], found["ContentLength"], found["LastModified"].timestamp())


def read(uri: str) -> bytes:
    """Returns a file's content."""
    bucket, key = _parts(uri)
    with _as_os_error(uri):
        return _client().get_object(Bucket=bucket, Key=key)["Body"].read()


def write(uri: str, content: bytes) -> None:
    """Writes a file; readers see the old or the new content, never a part."""
    bucket, key = _parts(uri)
    with _as_os_error(uri):
        _client().put_object(Bucket=bucket, Key=key, Body=content)


def read_tagged(uri: str) -> tuple[bytes | None, str]:
    """Returns a file's content and the tag of this content for `write_tagged`; None and '' if there is no file."""
    bucket, key = _parts(uri)
    try:
        with _as_os_error(uri):
            found = _client().get_object(Bucket=bucket, Key=key)
            return found["Body"].read(), found["ETag"]
    except FileNotFoundError:
        return None, ""


def write_tagged(uri: str, content: bytes, tag: str) -> bool:
    """Writes a file if it still has the content that `read_tagged` returned with this tag; returns whether it did."""
    from botocore.exceptions import ClientError

    bucket, key = _parts(uri)
    condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
    with _as_os_error(uri):
        try:
            _client().put_object(Bucket=bucket, Key=key, Body=content, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in _CONFLICTS:
                return False
            raise
        return True


def upload(path: str | Path, uri: str) -> None:
    """Copies a local file to the bucket, large ones in parts; the object appears when it is complete."""
    with _as_os_error(uri):
        _client().upload_file(str(path), *_parts(uri))


def download(uri: str, path: str | Path) -> None:
    """Copies a file of the bucket to a local path, whose folder is created."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with _as_os_error(uri):
        _client().download_file(*_parts(uri), str(path))


def remove(uris: Sequence[str]) -> None:
    """Deletes files of one bucket; files that do not exist are skipped."""
    for first in range(0, len(uris), _MOST):
        parts = [_parts(uri) for uri in uris[first : first + _MOST]]
        keys = [{"Key": key} for _, key in parts]
        with _as_os_error(uris[first]):
            answer = _client().delete_objects(Bucket=parts[0][0], Delete={"Objects": keys, "Quiet": True})
        if errors := [each for each in answer.get("Errors", ()) if each.get("Code") != "NoSuchKey"]:
            refused = f"s3://{parts[0][0]}/{errors[0].get('Key')}"
            raise OSError(f"cannot delete {refused}: {errors[0].get('Code')}: {errors[0].get('Message')}")


def _parts(uri: str, folder: bool = False) -> tuple[str, str]:
    """Returns bucket and key; a folder's key is '' or ends with a slash."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    if folder:
        key = key.rstrip("/")
        key = f"{key}/" if key else ""
    return bucket, key


def _pages(folder: str, **options: str) -> Iterator[dict[str, Any]]:
    with _as_os_error(folder):
        yield from _client().get_paginator("list_objects_v2").paginate(**options)


@contextmanager
def _as_os_error(uri: str) -> Iterator[None]:
    """Raises boto3's errors as OSError, and FileNotFoundError for a missing file or bucket, with the URI."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING:
            raise FileNotFoundError(f"{uri} does not exist") from None
        raise OSError(f"cannot access {uri}: {error}") from error
    except (Boto3Error, BotoCoreError, ValueError) as error:  # ValueError: boto3's, for a malformed endpoint
        raise OSError(f"cannot access {uri}: {error}") from error


@cache
def _client() -> Any:
    import boto3

    return boto3.session.Session().client("s3")
