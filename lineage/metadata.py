"""Connects to ML Metadata, and records the facts of a run that TFX does not record. Does not import TFX."""

import datetime
import os
import shlex
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import SplitResult, urlsplit

import ml_metadata as mlmd
import psutil
from ml_metadata.proto import metadata_store_pb2

from errors import UserError
from ingest.logs import log_to_file

SQLITE = "metadata.sqlite"
DATABASES = ("mysql", "postgresql")
RUN_CONTEXT = "pipeline_run"  # TFX's type name for the context of a run
BETWEEN_NODES = "between two nodes"  # recorded if Ctrl-C did not interrupt a node
CONNECT_TIMEOUT_S = 5.0  # for a database server; ML Metadata itself would wait for minutes
_LOCK_TIMEOUT_S = 3.0  # for another process to finish writing
_opening = threading.Lock()  # redirecting standard error is not thread-safe


def connection_config(address: str, password_file: Path | None = None) -> metadata_store_pb2.ConnectionConfig:
    """Returns the configuration for a SQLite file, mysql://USER@HOST:PORT/DATABASE or postgresql://….

    Raises:
      UserError: when the address has another form, or the password file cannot be read.
    """
    config = metadata_store_pb2.ConnectionConfig()
    if "://" not in address:
        config.sqlite.filename_uri = address
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return config
    url, port = _split(address)
    name = url.path.strip("/")
    if url.scheme not in DATABASES or not (url.username and url.hostname and name) or url.password:
        raise _address_error(address)
    database = getattr(config, url.scheme)
    database.host, database.user, database.skip_db_creation = url.hostname, url.username, True
    if password_file:
        database.password = _password(password_file)
    if url.scheme == "mysql":
        database.database, database.port = name, port or 3306
    else:
        database.dbname, database.port = name, str(port or 5432)
        database.password = _quoted(database.password)
    return config


def _quoted(value: str) -> str:
    """Returns the value quoted for libpq; ML Metadata passes it in a connection string without quoting."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _split(address: str) -> tuple[SplitResult, int | None]:
    try:
        url = urlsplit(address)
        return url, url.port
    except ValueError:  # a port that is not a number, or an unmatched bracket
        raise _address_error(address) from None


def _address_error(address: str) -> UserError:
    forms = " or ".join(f"{scheme}://USER@HOST:PORT/DATABASE" for scheme in DATABASES)
    received = address.rpartition("@")[2]  # omits a password
    return UserError(f"metadata: expected {forms} without a password, received {received}; give a password file")


def connect(config: metadata_store_pb2.ConnectionConfig, name: str) -> mlmd.MetadataStore:
    """Returns the opened store.

    Args:
      config: the connection.
      name: the file or address that error messages show.

    Raises:
      UserError: when the store cannot be reached, is locked, has another version, or is not ML Metadata.
    """
    kind = config.WhichOneof("config")
    if kind in DATABASES:
        _check_server(getattr(config, kind))
    try:
        with _opening, log_to_file(Path(os.devnull), also_terminal=False):
            store = mlmd.MetadataStore(config)
            store.get_context_types()
    except (mlmd.errors.StatusError, RuntimeError) as error:  # the constructor raises RuntimeError
        reason = " ".join(str(error).split())[:300]
        if kind in DATABASES:  # for a wrong password, ML Metadata reports a NULL pointer or nothing
            reason = f"check the user, the password file, the database and the user's rights to it ({reason})"
        raise UserError(f"cannot use the ML Metadata in {name}: {reason}") from None
    return store


@contextmanager
def open_sqlite(path: Path, mode: Literal["ro", "rw"]) -> Iterator[tuple[sqlite3.Connection, bool | None]]:
    """Opens an existing SQLite file with Python's sqlite3 module.

    ML Metadata would treat an empty file as a new store, and would wait a minute for a locked file.

    Yields:
      The connection, and whether the file is an ML Metadata store; None if the file has no tables.

    Raises:
      sqlite3.Error: when the file is not a database, is damaged or locked, or cannot be opened.
    """
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=_LOCK_TIMEOUT_S)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
        yield database, "MLMDEnv" in tables if tables else None


def _check_server(database: Any) -> None:
    try:
        socket.create_connection((database.host, int(database.port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        server, reason = f"{database.host}:{database.port}", error.strerror or error
        raise UserError(
            f"cannot reach a database server at {server}: {reason}; check that it is running, and its address"
        ) from None


def _password(file: Path) -> str:
    try:
        return file.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"metadata: cannot read the password file {file}: {error}") from None


def record_start(store: mlmd.MetadataStore, run: str, facts: dict[str, str]) -> None:
    """Creates the run's context with facts about the run. TFX's nodes later join this context.

    Args:
      store: ML Metadata.
      run: TFX's id of the run.
      facts: stored as custom properties, with the command and the process.
    """
    kind = metadata_store_pb2.ContextType(name=RUN_CONTEXT)
    context = metadata_store_pb2.Context(name=run, type_id=store.put_context_type(kind))
    _write(context, {**facts, "command": shlex.join(["python", *sys.argv]), "process": _process()})
    store.put_contexts([context])


def record_end(store: mlmd.MetadataStore, run: str, failed: str = "", error: str = "", interrupted: str = "") -> None:
    """Records the end of the run.

    Args:
      store: ML Metadata.
      run: TFX's id of the run.
      failed: the node that failed, if any.
      error: the node's error.
      interrupted: the node that Ctrl-C interrupted, or BETWEEN_NODES.
    """
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run)
    ended = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    facts = {"failed": failed, "error": error, "interrupted": interrupted}
    _write(context, {"ended": ended} | {key: value for key, value in facts.items() if value})
    store.put_contexts([context])


def interrupted_in(facts: Mapping[str, str]) -> str | None:
    """Returns the node that Ctrl-C interrupted, or BETWEEN_NODES; None for a run that was not interrupted."""
    if facts.get("error") == "Interrupted":  # early stores record an interrupt as this error
        return facts.get("failed")
    return facts.get("interrupted")


def is_alive(process: str) -> bool | None:
    """Returns whether the process that `record_start` recorded still runs; None if it is on another host."""
    try:
        host, pid, started = process.rsplit(" ", 2)
        if host != socket.gethostname():
            return None
        return abs(psutil.Process(int(pid)).create_time() - float(started)) < 2  # tolerates a small clock adjustment
    except psutil.NoSuchProcess:
        return False
    except ValueError:  # another program's record
        return None


def _process() -> str:
    this = psutil.Process()
    return f"{socket.gethostname()} {this.pid} {this.create_time():.0f}"


def _write(context: metadata_store_pb2.Context, facts: dict[str, str]) -> None:
    for key, value in facts.items():
        context.custom_properties[key].string_value = value
