"""Opens the store that questions are put to."""

import sqlite3
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from errors import UserError
from lineage import metadata


def open_store(place: str, password_file: Path | None = None, writable: bool = False) -> mlmd.MetadataStore:
    """Returns the store of a run.

    Args:
      place: an output folder, its SQLite file, or a database's address; see `lineage.metadata.connection`.
      password_file: of the database's user.
      writable: SQLite is opened for reading alone, unless said.

    Raises:
      UserError: when there is none, or it cannot be used.
    """
    if "://" in place:
        return metadata.opened(metadata.connection(place, password_file), place.rpartition("@")[2])
    path = Path(place).expanduser()
    try:
        path = path / metadata.SQLITE if path.is_dir() else path
        path.stat()
        with metadata.opened_sqlite(path, "ro") as (_, is_ml_metadata):
            pass
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"there is no ML Metadata to read in {path}: {reason}; name the output folder of a run (--store)"
        ) from None
    if not is_ml_metadata:
        raise UserError(f"{path} is not of ML Metadata; name the output folder of a run (--store)")
    config = metadata.connection(str(path))
    modes = metadata_store_pb2.SqliteMetadataSourceConfig
    config.sqlite.connection_mode = modes.READWRITE if writable else modes.READONLY
    return metadata.opened(config, str(path))
