"""Opens the store that questions are put to."""

from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from datasets.errors import UserError
from pipeline import metadata

_SQLITE_HEADER = b"SQLite format 3\0"


def open_store(place: str, password_file: Path | None = None, writable: bool = False) -> mlmd.MetadataStore:
    """Returns the store of a run.

    Args:
      place: an output folder, its SQLite file, or a database's address; see `pipeline.metadata.connection`.
      password_file: of the database's user.
      writable: SQLite is opened for reading alone, unless said.

    Raises:
      UserError: when there is none, or it cannot be used.
    """
    if "://" in place:
        return metadata.opened(metadata.connection(place, password_file), place.rpartition("@")[2])
    path = Path(place).expanduser()
    path = path / metadata.SQLITE if path.is_dir() else path
    _check_sqlite(path)
    config = metadata.connection(str(path))
    modes = metadata_store_pb2.SqliteMetadataSourceConfig
    config.sqlite.connection_mode = modes.READWRITE if writable else modes.READONLY
    return metadata.opened(config, str(path))


def _check_sqlite(path: Path) -> None:
    """ML Metadata would take an empty file for a new store, and says little of a file that is none."""
    try:
        with path.open("rb") as file:
            header = file.read(len(_SQLITE_HEADER))
    except OSError as error:
        text = f"there is no ML Metadata to read in {path}: {error.strerror}; name the output folder of a run (--store)"
        raise UserError(text) from None
    if header != _SQLITE_HEADER:
        raise UserError(f"{path} is no SQLite file; name the output folder of a run (--store)")
