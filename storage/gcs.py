"""Reads and writes small files in Cloud Storage without TensorFlow, given gs:// URIs.

google-cloud-storage takes the credentials from the environment, and is imported only when a file is accessed. All
functions raise OSError if the server refuses or cannot be reached.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_TIMEOUT_S = 20.0


def files(folder: str) -> dict[str, int]:
    """Returns the size in bytes of each object below a folder, by its name relative to the folder."""
    bucket, prefix = _parts(f"{folder.rstrip('/')}/")
    with _as_os_error(folder):
        found = _client().list_blobs(bucket, prefix=prefix, timeout=_TIMEOUT_S)
        return {each.name.removeprefix(prefix): each.size for each in found}


def read_tagged(uri: str) -> tuple[bytes | None, str]:
    """Returns a file's content and the tag of this content for `write_tagged`; None and '0' if there is no file."""
    from google.api_core.exceptions import NotFound

    bucket, key = _parts(uri)
    with _as_os_error(uri):
        try:
            # the tag first: if the file changes in between, the tag is too old, and `write_tagged` writes nothing
            blob = _client().bucket(bucket).get_blob(key, timeout=_TIMEOUT_S)
            tag = str(blob.generation) if blob else "0"
            return blob.download_as_bytes(timeout=_TIMEOUT_S) if blob else None, tag
        except NotFound:
            return None, "0"


def write_tagged(uri: str, content: bytes, tag: str) -> bool:
    """Writes a file if it still has the content that `read_tagged` returned with this tag; returns whether it did."""
    from google.api_core.exceptions import PreconditionFailed

    bucket, key = _parts(uri)
    with _as_os_error(uri):
        try:
            blob = _client().bucket(bucket).blob(key)
            blob.upload_from_string(content, if_generation_match=int(tag), timeout=_TIMEOUT_S)
        except PreconditionFailed:
            return False
        return True


def _parts(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key


@contextmanager
def _as_os_error(uri: str) -> Iterator[None]:
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from requests import RequestException

    try:
        yield
    except RequestException as error:  # an OSError whose text has no URI
        raise OSError(f"cannot access {uri}: {error}") from error
    except (GoogleAPIError, GoogleAuthError) as error:
        raise OSError(f"cannot access {uri}: {error}") from error


@cache
def _client() -> Any:
    from google.cloud import storage

    return storage.Client()
