"""Fetches a file once: resumable, checked, and in place only when it is whole."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import requests
from requests.adapters import HTTPAdapter
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from urllib3.util.retry import Retry

from errors import UserError

_CHUNK = 1 << 16  # what a broken line costs at most
_TIMEOUT = (5, 30)  # seconds to connect, seconds without a byte
_TRIES = 4


class Remote(NamedTuple):
    """A file to fetch. `digest` is `sha256:HEX` or `md5:HEX`."""

    url: str
    size: int
    digest: str


def session() -> requests.Session:
    """Returns an HTTP session that tries again on a broken connection or a server's 5xx."""
    result = requests.Session()
    retry = Retry(total=2, backoff_factor=0.3, status_forcelist=(500, 502, 503, 504), allowed_methods=("GET",))
    result.mount("https://", HTTPAdapter(max_retries=retry))
    result.mount("http://", HTTPAdapter(max_retries=retry))
    return result


def progress() -> Progress:
    """Returns the progress display of a download."""
    return Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())


def fetch(http: requests.Session, remote: Remote, target: Path, shown: Progress) -> None:
    """Puts `remote` at `target`, going on from a `.part` file that an earlier try left.

    Raises:
      UserError: when what arrives is not of the right size and digest.
      requests.RequestException: when the server cannot be reached.
    """
    if target.is_file() and target.stat().st_size == remote.size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    task = shown.add_task(target.name, total=remote.size)
    for attempt in range(_TRIES):
        try:
            _receive(http, remote, part, lambda done: shown.update(task, completed=done))
        except requests.exceptions.ChunkedEncodingError:  # the line broke: ask for the rest
            if attempt + 1 == _TRIES:
                raise
        if part.stat().st_size >= remote.size:
            break
    if part.stat().st_size != remote.size or digest(part, remote.digest) != remote.digest:
        received = f"{part.stat().st_size} bytes, {digest(part, remote.digest)}"
        part.unlink()
        raise UserError(
            f"{remote.url} is not what it should be: expected {remote.size} bytes, {remote.digest}; received {received}"
        )
    part.replace(target)


def digest(path: Path, like: str) -> str:
    """Returns a file's digest by the algorithm that `like` (`sha256:…` or `md5:…`) names."""
    algorithm = like.partition(":")[0]
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


def from_base64(md5: str) -> str:
    """Turns the base64 MD5 of a storage listing into `md5:HEX`."""
    return f"md5:{base64.b64decode(md5).hex()}"


def _receive(http: requests.Session, remote: Remote, part: Path, show: Callable[[int], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have >= remote.size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    with http.get(remote.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        response.raise_for_status()
        have = have if response.status_code == requests.codes.partial_content else 0
        with part.open("ab" if have else "wb") as file:
            for chunk in response.iter_content(_CHUNK):
                have += file.write(chunk)
                show(have)
