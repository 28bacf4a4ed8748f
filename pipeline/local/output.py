"""The output folder of a run on this machine: writable, and with a metadata store that can be used.

All is checked before TFX is imported (issue 11).
"""

import sqlite3
import tempfile
from pathlib import Path

from errors import UserError
from ingest.records import check_path
from pipeline.config import Config


def check_output(config: Config) -> None:
    """Checks what a run writes, given settings as `pipeline.local.local_settings` returns them.

    Raises:
      UserError: naming the folder or file that cannot be written.
    """
    for folder in (config.output / "logs", config.output / "artifacts" / config.name):
        writable(folder, "the folder", "--output DIR", make=False)
    writable(Path(str(config.pusher.directory)), "the folder for pushed models", "pusher.directory", make=False)
    if not config.metadata.url:
        _check_store_of(config.output / "artifacts")
        _check_sqlite(config.output)


def writable(folder: Path, what: str, setting: str, make: bool) -> Path:
    """Returns the absolute folder after a trial write to it or, without `make`, to its nearest existing parent.

    Raises:
      UserError: when that fails, with the setting that names another folder.
    """
    folder = folder.expanduser()
    try:
        _check_links(folder, f"the disk it points to may not be mounted; or give another one ({setting})")
        folder = folder.resolve()
        check_path(folder, f"give another one ({setting})")
        tried = folder if make else next(parent for parent in (folder, *folder.parents) if parent.exists())
        tried.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=tried):
            pass
    except OSError as error:
        reason = f"{error.filename} is a file" if isinstance(error, FileExistsError) else error.strerror
        raise UserError(f"cannot write to {what} {folder}: {reason}; give another one ({setting})") from None
    return folder


def _check_links(path: Path, instead: str) -> None:
    """Refuses a path whose last part that exists is a link to nothing.

    Raises:
      UserError: then.
      OSError: when a folder on the way cannot be entered.
    """
    for each in (path, *path.parents):
        if each.is_symlink() and not each.exists():
            raise UserError(f"{each} is a link to {each.readlink()}, which does not exist: {instead}")


def _check_sqlite(output: Path) -> None:
    from lineage import metadata  # ML Metadata's library: 0.8 s

    path = output / metadata.SQLITE
    try:
        _check_links(path, "the disk it points to may not be mounted")
        if not path.exists():
            return
        with metadata.open_sqlite(path, "rw") as (file, is_ml_metadata):
            file.execute("BEGIN IMMEDIATE")  # what a lock and a read-only file refuse
            file.rollback()
            (state,) = file.execute("PRAGMA quick_check(1)").fetchone()
        if state != "ok":
            raise UserError(f"the ML Metadata in {path} is damaged: {' '.join(state.split())}")
        if is_ml_metadata is False:
            raise UserError(f"{path} is a database of something else than ML Metadata")
        metadata.connect(metadata.connection_config(str(path)), str(path))
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"cannot write to the ML Metadata in {path}: {reason}; {_OTHER}") from None
    except UserError as error:
        raise UserError(f"{error}; {_OTHER}") from None


def _check_store_of(artifacts: Path) -> None:
    """Refuses artifacts without their store: a new one would count from 1 again and write into their folders."""
    from lineage import metadata

    store, recorded = artifacts.parent / metadata.SQLITE, next(artifacts.glob("*/*/*/[0-9]*"), None)
    if recorded and not store.exists():
        raise UserError(
            f"{store} is missing, the record of {recorded} and others: put it back, name the database that has it "
            f"(metadata.url), or move {artifacts} away; or give another folder (--output DIR)"
        )


_OTHER = "if no other process uses it, move it and artifacts/ away; or give another folder (--output DIR)"
