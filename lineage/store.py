"""Opens an existing ML Metadata store."""

import sqlite3
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from errors import UserError
from lineage import metadata


def open_store(address: str, password_file: Path | None = None, writable: bool = False) -> mlmd.MetadataStore:
    """Returns the opened store.

    Args:
      address: an output folder, its SQLite file, or a database's address; see `metadata.connection_config`.
      password_file: contains the password of the database's user.
      writable: opens a SQLite file for writing too.

    Raises:
      UserError: when the store does not exist, or cannot be used.
    """
    if "://" in address:
        config = metadata.connection_config(address, password_file)
        return metadata.connect(config, address.rpartition("@")[2])
    path = Path(address).expanduser()
    try:
        path = path / metadata.SQLITE if path.is_dir() else path
        path.stat()
        with metadata.open_sqlite(path, "ro") as (_, is_ml_metadata):
            pass
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(
            f"cannot read ML Metadata from {path}: {reason}; give the output folder of a run (--store)"
        ) from None
    if not is_ml_metadata:
        raise UserError(f"{path} is not an ML Metadata store; give the output folder of a run (--store)")
    config = metadata.connection_config(str(path))
    modes = metadata_store_pb2.SqliteMetadataSourceConfig
    config.sqlite.connection_mode = modes.READWRITE if writable else modes.READONLY
    return metadata.connect(config, str(path))
