"""Prepares and validates the data and the weights that the settings name, before TFX is imported."""

import pkgutil
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from errors import UserError
from ingest import download, records
from ingest.download import Remote
from ingest.sources import SOURCES, data_sources

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
ZIP_MAGIC = b"PK\x03\x04"


def cache_folder() -> Path:
    """Returns this project's folder in the user's cache folder, for downloads and the sample."""
    return user_cache_path("tfx-photo-pipeline")


@contextmanager
def _cache_for(what: str) -> Iterator[Path]:
    """Yields the cache folder, locked for `what`, so that only one process downloads or draws it.

    Raises:
      UserError: when `what` is missing in the folder and the folder cannot be written.
    """
    cache = cache_folder()
    lock = FileLock(cache / f".{what}.lock")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting for another run to prepare {what} in {cache} …", file=sys.stderr, flush=True)
            lock.acquire()
    except OSError:  # a read-only cache: either complete, or writing fails below
        pass
    try:
        yield cache
    except OSError as error:
        raise UserError(
            f"cannot write to the cache folder {cache}: {error.strerror or error}; set XDG_CACHE_HOME to another "
            "folder, or give the data and weights (--data DIR, --weights FILE)"
        ) from None
    finally:
        lock.release()


def prepare_data(source: str | None, directory: Path | None, pattern: str, image_size: int) -> tuple[Path, list[str]]:
    """Returns the absolute folder of TFRecords and the sorted record files; makes or downloads missing data.

    Raises:
      UserError: when the data are missing or cannot be downloaded.
    """
    if directory is None and source is None:
        names = " or ".join(data_sources())
        raise UserError(f"no data: give a folder of TFRecords (--data DIR), or set data.source to {names}")
    directory = directory or ensure(str(source), image_size)
    directory = directory.expanduser().resolve()
    if not directory.is_dir():
        raise UserError(f"the data folder {directory} does not exist; give a folder of TFRecords (--data DIR)")
    return directory, records.list_files(directory, pattern)


def ensure(source: str, image_size: int) -> Path:
    """Returns the folder of a source's TFRecords in the cache, which are made or downloaded if they are missing.

    Raises:
      UserError: when they cannot be downloaded, or the cache cannot be written.
    """
    row = SOURCES[source]
    with _cache_for(f"{source}-{image_size}") as cache:
        if row.buckets:
            return download.ensure_folder(cache, row.buckets[image_size])
        try:
            make = pkgutil.resolve_name(row.ensure)
        except (ImportError, AttributeError, ValueError) as error:
            raise UserError(
                f"the row {source} of ingest/sources.py: expected a function's path, received {row.ensure}: {error}"
            ) from None
        return make(cache, image_size)


def prepare_weights(
    weights: str | None, sha256: str | None, imagenet: Remote | None, setting: str = "model.weights"
) -> Path | None:
    """Returns the absolute path of the weights file, or None without weights.

    Args:
      weights: 'imagenet', a file, or None.
      sha256: the expected digest of a file, in hex; None for any.
      imagenet: the file for 'imagenet'.
      setting: the key of the setting, for errors.

    Raises:
      UserError: when the file is missing, a folder, neither HDF5 nor a zip, or has another checksum than `sha256`.
    """
    if weights is None:
        return None
    option = "--weights FILE" if setting == "model.weights" else setting
    if weights == "imagenet" and imagenet:
        with _cache_for("weights") as cache:
            return download.ensure_file(cache, imagenet, option)
    path = Path(weights).expanduser().resolve()
    if path.is_dir():
        raise UserError(_folder_error(path, option))
    if not path.is_file():
        raise UserError(f"the weights file {path} does not exist ({option})")
    with path.open("rb") as file:
        if not file.read(len(HDF5_MAGIC)).startswith((HDF5_MAGIC, ZIP_MAGIC)):
            raise UserError(
                f"the weights file {path} is neither HDF5 nor a zip; expected .h5, .weights.h5, .keras or .npz"
            )
    if sha256 and (received := download.digest(path, "sha256:")) != f"sha256:{sha256}":
        raise UserError(
            f"the weights file {path} is not the expected one: expected sha256:{sha256} ({setting}_sha256), "
            f"received {received}"
        )
    return path


def _folder_error(path: Path, option: str) -> str:
    """Returns the error for a folder, such as a SavedModel, with the place of the weights file."""
    weights = next((file for folder in (path, path.parent) for file in sorted(folder.glob("*.weights.h5"))), None)
    what = "a SavedModel" if (path / "saved_model.pb").exists() else "a folder"
    file = shlex.quote(str(weights))
    instead = (
        f"the weights are in the file {option.replace('FILE', file) if 'FILE' in option else f'{file} ({option})'}"
        if weights
        else "save them with Keras's model.save_weights('NAME.weights.h5'), and give that file"
    )
    return f"the weights {path} are {what}; expected a file: .h5, .weights.h5, .keras or .npz; {instead}"
