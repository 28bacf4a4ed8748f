"""The public flowers and the ImageNet weights of Keras: fetched once into a cache folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from errors import UserError
from ingest import download
from ingest.download import Remote

LISTING = "https://storage.googleapis.com/storage/v1/b/flowers-public/o"
FILES = "https://storage.googleapis.com/flowers-public/"
FOLDERS = {size: f"tfrecords-jpeg-{size}x{size}{'-2' if size == 192 else ''}" for size in (192, 224, 331, 512)}
XCEPTION_WEIGHTS = Remote(
    url="https://storage.googleapis.com/tensorflow/keras-applications/xception/"
    "xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
    size=83_683_744,
    digest="sha256:e3fa32521ed48ced4af05adc950ab24963c4a00bd42e6825f8b180c65853163c",
)

# The same in the buckets themselves, for those who read buckets.
XCEPTION_WEIGHTS_URI = XCEPTION_WEIGHTS.url.replace("https://storage.googleapis.com/", "gs://")


def flowers_uri(size: int) -> str:
    """Returns the folder of the public flowers' bucket at `size` pixels."""
    return f"gs://flowers-public/{FOLDERS[size]}"


def ensure_flowers(cache: Path, size: int, listing: str = LISTING, files: str = FILES) -> Path:
    """Returns the folder of the public flowers' TFRecords at `size` pixels, fetching what is missing.

    Each shard is checked against the size and the MD5 of the bucket's listing, and put in place whole. A file
    `.complete` marks the folder: with it, nothing is asked of the network.

    Raises:
      UserError: with no network, or when a shard does not arrive as listed.
      OSError: when the cache cannot be written.
    """
    folder = cache / FOLDERS[size]
    complete = folder / ".complete"
    if complete.exists():
        return folder
    with _or_give(f"the public flowers ({FOLDERS[size]})", "a folder that holds them: --data DIR"):
        http = download.session()
        answer = http.get(
            listing,
            params={"prefix": FOLDERS[size] + "/", "fields": "items(name,size,md5Hash)"},
            timeout=(5, 30),
        )
        answer.raise_for_status()
        items = [item for item in answer.json().get("items", []) if item["name"].endswith(".tfrec")]
        if not items:
            raise UserError(f"the bucket lists no TFRecords under {FOLDERS[size]}/")
        with download.progress() as shown:
            for item in items:
                digest = download.from_base64(item["md5Hash"])
                remote = Remote(files + item["name"], int(item["size"]), digest)
                download.fetch(http, remote, folder / Path(item["name"]).name, shown)
    complete.touch()
    return folder


def ensure_weights(cache: Path, remote: Remote = XCEPTION_WEIGHTS) -> Path:
    """Returns the file of Xception's ImageNet weights (without top), fetching it if it is not there.

    Raises:
      UserError: with no network, or when the file is not the published one.
      OSError: when the cache cannot be written.
    """
    target = cache / remote.url.rpartition("/")[2]
    if not target.exists():
        with _or_give("Xception's ImageNet weights", "the file: --weights FILE"), download.progress() as shown:
            download.fetch(download.session(), remote, target, shown)
    return target


@contextmanager
def _or_give(what: str, instead: str) -> Iterator[None]:
    try:
        yield
    except requests.RequestException as error:  # any other OSError is of the cache folder
        raise UserError(f"cannot download {what}: {_reason(error)}. Check the network, or give {instead}") from None


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.HTTPError):
        return f"the server answered {error.response.status_code}"
    if isinstance(error, requests.exceptions.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.ConnectionError):
        return "the server cannot be reached"
    return str(error)
