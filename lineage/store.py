"""Opens the store that questions are put to."""

import sqlite3
from contextlib import closing
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from datasets.errors import UserError
from pipeline import metadata

_PATIENCE_S = 3.0  # for another process to end its writing


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
    if not path.exists():
        raise UserError(
            f"there is no ML Metadata to read in {path}: no such file; name a run's output folder (--store)"
        )
    _check_sqlite(path)
    config = metadata.connection(str(path))
    modes = metadata_store_pb2.SqliteMetadataSourceConfig
    config.sqlite.connection_mode = modes.READWRITE if writable else modes.READONLY
    return metadata.opened(config, str(path))


def _check_sqlite(path: Path) -> None:
    """Looks before ML Metadata does, which takes an empty file for a new store and waits a minute for a locked one."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE_S)) as file:
            tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        text = f"there is no ML Metadata to read in {path}: {error}; name the output folder of a run (--store)"
        raise UserError(text) from None
    if "MLMDEnv" not in tables:
        raise UserError(f"{path} is not of ML Metadata; name the output folder of a run (--store)")
