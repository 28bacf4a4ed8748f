"""Downloads files into the cache folder: resumable, checked by size and digest, and renamed when complete."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import requests
from requests.adapters import HTTPAdapter
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from urllib3.util.retry import Retry

from errors import UserError
from storage import certificates

STORAGE = "https://storage.googleapis.com/"  # serves public buckets
_CHUNK = 1 << 16  # bytes; a broken connection loses at most one chunk
_TIMEOUT = (5, 30)  # seconds to connect, seconds without a byte
_TRIES = 4


class Remote(NamedTuple):
    """A file to download. `digest` is `sha256:HEX` or `md5:HEX`."""

    url: str
    size: int
    digest: str


def ensure_folder(cache: Path, uri: str) -> Path:
    """Returns the folder of a public bucket's TFRecords under `cache`, after downloading missing files.

    Each shard is checked against the size and the MD5 in the bucket's listing. If the folder contains a file
    `.complete`, nothing is requested from the network.

    Args:
      cache: the parent of the folder, which has its name in the bucket.
      uri: the folder, as gs://BUCKET/FOLDER.

    Raises:
      UserError: without network, or when a shard differs from the listing.
      OSError: when the cache cannot be written.
    """
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    folder = cache / name
    complete = folder / ".complete"
    if complete.exists():
        return folder
    with _network(f"the public data {uri}", "a folder with the data (--data DIR)"):
        http = _session()
        query = {"prefix": f"{name}/", "fields": "items(name,size,md5Hash)"}
        answer = http.get(f"{STORAGE}storage/v1/b/{bucket}/o", params=query, timeout=_TIMEOUT)
        answer.raise_for_status()
        items = [item for item in answer.json().get("items", []) if item["name"].endswith(".tfrec")]
        if not items:
            raise UserError(f"the bucket lists no TFRecords under {uri}/")
        with _progress() as shown:
            for item in items:
                md5 = base64.b64decode(item["md5Hash"]).hex()
                remote = Remote(f"{STORAGE}{bucket}/{item['name']}", int(item["size"]), f"md5:{md5}")
                _fetch(http, remote, folder / Path(item["name"]).name, shown)
    complete.touch()
    return folder


def ensure_file(cache: Path, remote: Remote, option: str = "--weights FILE") -> Path:
    """Returns a weights file under `cache`, after downloading it if it is missing; its folder is named by the digest.

    Args:
      cache: the folder of the cache.
      remote: the file.
      option: where a file on this machine can be given instead, for errors.

    Raises:
      UserError: without network, or when the file is not the expected one.
      OSError: when the cache cannot be written.
    """
    target = cache / "weights" / remote.digest.rpartition(":")[2][:12] / remote.url.rpartition("/")[2]
    if not target.exists():
        with _network(f"the weights {target.name}", f"the file ({option})"), _progress() as shown:
            _fetch(_session(), remote, target, shown)
    return target


def bucket_uri(url: str) -> str:
    """Returns the gs:// address of a file in a public bucket; other addresses are returned unchanged."""
    return url.replace(STORAGE, "gs://")


def digest(path: Path, like: str) -> str:
    """Returns a file's digest by the algorithm that `like` (`sha256:…` or `md5:…`) names."""
    algorithm = like.partition(":")[0]
    with path.open("rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"


@contextmanager
def _network(what: str, instead: str) -> Iterator[None]:
    certificates.check()
    try:
        yield
    except requests.RequestException as error:  # other OSErrors concern the cache folder
        raise UserError(f"cannot download {what}: {_reason(error)}. Check the network, or give {instead}") from None


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.HTTPError):
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.exceptions.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "cannot reach the server"
    return str(error)


def _session() -> requests.Session:
    """Returns an HTTP session that retries after a broken connection or a server's 5xx."""
    result = requests.Session()
    retry = Retry(total=2, backoff_factor=0.3, status_forcelist=(500, 502, 503, 504), allowed_methods=("GET",))
    result.mount("https://", HTTPAdapter(max_retries=retry))
    result.mount("http://", HTTPAdapter(max_retries=retry))
    return result


def _progress() -> Progress:
    return Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())


def _fetch(http: requests.Session, remote: Remote, target: Path, shown: Progress) -> None:
    """Downloads `remote` to `target`, resuming from the `.part` file of an earlier attempt."""
    if target.is_file() and target.stat().st_size == remote.size:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    task = shown.add_task(target.name, total=remote.size)
    for attempt in range(_TRIES):
        try:
            _receive(http, remote, part, lambda done: shown.update(task, completed=done))
        except requests.exceptions.ChunkedEncodingError:  # the connection broke: request the rest
            if attempt + 1 == _TRIES:
                raise
        if part.stat().st_size >= remote.size:
            break
    if part.stat().st_size != remote.size or digest(part, remote.digest) != remote.digest:
        received = f"{part.stat().st_size} bytes, {digest(part, remote.digest)}"
        part.unlink()
        raise UserError(
            f"expected {remote.size} bytes, {remote.digest} from {remote.url}; received {received}. Try again later"
        )
    part.replace(target)


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
