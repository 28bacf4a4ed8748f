"""Checks, before TFX is imported, that a local run can write its output folder and its metadata store."""

import errno
import sqlite3
import tempfile
from pathlib import Path

from errors import UserError
from ingest.records import check_path
from pipeline.config import Config


def check_output(config: Config) -> None:
    """Checks all folders and files that a run with these resolved settings writes.

    Raises:
      UserError: naming the folder or file that cannot be written.
    """
    for folder in (config.output / "logs", config.output / "artifacts" / config.name):
        writable(folder, "the folder", "--output DIR", make=False)
    writable(Path(str(config.pusher.directory)), "the folder for pushed models", "pusher.directory", make=False)
    if not config.metadata.url:
        _check_store_exists(config.output / "artifacts")
        _check_sqlite(config.output)


def writable(folder: Path, what: str, setting: str, make: bool) -> Path:
    """Returns the absolute folder, after writing a temporary file to it or to its nearest existing parent.

    Args:
      folder: the folder.
      what: what the folder is, for the error.
      setting: the flag or setting that names the folder, for the error.
      make: creates the folder if it does not exist.

    Raises:
      UserError: when the folder cannot be written.
    """
    folder = folder.expanduser()
    try:
        _check_links(folder)
        folder = folder.resolve()
        check_path(folder, f"give another folder ({setting})")
        existing = folder if make else next(parent for parent in (folder, *folder.parents) if parent.exists())
        existing.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        reason = f"{error.filename} is a file" if isinstance(error, FileExistsError) else error.strerror
        raise UserError(f"cannot write to {what} {folder}: {reason}; give another folder ({setting})") from None
    return folder


def _check_links(path: Path) -> None:
    """Raises FileNotFoundError when the path or a parent is a broken link."""
    for each in (path, *path.parents):
        if each.is_symlink() and not each.exists():
            target = each.readlink()
            text = f"{each} is a link to {target}, which does not exist; its disk may not be mounted"
            raise FileNotFoundError(errno.ENOENT, text)


def _check_sqlite(output: Path) -> None:
    from lineage import metadata  # imports ML Metadata's library (0.8 s)

    path = output / metadata.SQLITE
    try:
        _check_links(path)
        if not path.exists():
            return
        with metadata.open_sqlite(path, "rw") as (database, is_ml_metadata):
            database.execute("BEGIN IMMEDIATE")  # fails if the file is locked or read-only
            database.rollback()
            (state,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise UserError(f"the ML Metadata in {path} is damaged: {' '.join(state.split())}")
        if is_ml_metadata is False:
            raise UserError(f"{path} is a database, but not ML Metadata")
        metadata.connect(metadata.connection_config(str(path)), str(path))
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot write to the ML Metadata in {path}: {reason}; {_ADVICE}") from None
    except UserError as error:
        raise UserError(f"{error}; {_ADVICE}") from None


def _check_store_exists(artifacts: Path) -> None:
    """Raises UserError for artifacts without a store, because a new store would reuse the ids in their folder names."""
    from lineage import metadata

    store, artifact = artifacts.parent / metadata.SQLITE, next(artifacts.glob("*/*/*/[0-9]*"), None)
    if artifact and not store.exists():
        raise UserError(
            f"{store} is missing, but there are artifacts such as {artifact}; restore the file, name the database with "
            f"their metadata (metadata.url), move {artifacts} away, or give another folder (--output DIR)"
        )


_ADVICE = "if no other process uses it, move it and artifacts/ away; or give another folder (--output DIR)"
