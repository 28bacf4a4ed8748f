"""Where ML Metadata is kept, and what of a run it is told beyond what TFX writes. No TFX is imported."""

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
from ingest.quiet import chatter_to

SQLITE = "metadata.sqlite"
DATABASES = ("mysql", "postgresql")
RUN_CONTEXT = "pipeline_run"  # TFX's name of the context that holds a run's executions
BETWEEN = "between two nodes"  # where Ctrl-C came, if not in a node
ANSWER_S = 5.0  # a database's server answers within; ML Metadata itself would wait for minutes
_PATIENCE_S = 3.0  # for another process to end its writing
_opening = threading.Lock()  # one at a time sends standard error elsewhere


def connection(place: str, password_file: Path | None = None) -> metadata_store_pb2.ConnectionConfig:
    """Returns the connection to a SQLite file, or to mysql://USER@HOST:PORT/DATABASE or postgresql://….

    Raises:
      UserError: when the address is of another form, or the password cannot be read.
    """
    config = metadata_store_pb2.ConnectionConfig()
    if "://" not in place:
        config.sqlite.filename_uri = place
        config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        return config
    url, port = _split(place)
    name = url.path.strip("/")
    if url.scheme not in DATABASES or not (url.username and url.hostname and name) or url.password:
        raise _not_an_address(place)
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
    """ML Metadata puts the words for PostgreSQL's library into one line as they are."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _split(place: str) -> tuple[SplitResult, int | None]:
    try:
        url = urlsplit(place)
        return url, url.port
    except ValueError:  # a port that is no number, half a bracket
        raise _not_an_address(place) from None


def _not_an_address(place: str) -> UserError:
    forms = " or ".join(f"{scheme}://USER@HOST:PORT/DATABASE" for scheme in DATABASES)
    received = place.rpartition("@")[2]  # a password may stand before it
    return UserError(f"metadata: expected {forms}, the password in a file of its own, received {received}")


def opened(config: metadata_store_pb2.ConnectionConfig, where: str) -> mlmd.MetadataStore:
    """Returns the store.

    Args:
      config: how to reach it.
      where: the same, for a person.

    Raises:
      UserError: when it cannot be used: not reached, locked, of another version, or no store.
    """
    kind = config.WhichOneof("config")
    if kind in DATABASES:
        _check_server(getattr(config, kind))
    try:
        with _opening, chatter_to(Path(os.devnull), also_terminal=False):
            store = mlmd.MetadataStore(config)
            store.get_context_types()
    except (mlmd.errors.StatusError, RuntimeError) as error:  # the latter from its constructor
        reason = " ".join(str(error).split())[:300]
        if kind in DATABASES:  # of a wrong password, ML Metadata says that a pointer is NULL, or nothing
            reason = f"check the user, the password file, the database and the user's rights to it ({reason})"
        raise UserError(f"cannot use the ML Metadata in {where}: {reason}") from None
    return store


@contextmanager
def opened_sqlite(path: Path, mode: Literal["ro", "rw"]) -> Iterator[tuple[sqlite3.Connection, bool | None]]:
    """Opens an existing SQLite file by Python's own library.

    ML Metadata itself would take an empty file for a new store, and would wait a minute for a locked one.

    Yields:
      The connection, and whether the tables are ML Metadata's: None where the file has no tables.

    Raises:
      sqlite3.Error: when it is no database, damaged, locked, or cannot be opened.
    """
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE_S)) as file:
        tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master")}
        yield file, "MLMDEnv" in tables if tables else None


def _check_server(database: Any) -> None:
    try:
        socket.create_connection((database.host, int(database.port)), timeout=ANSWER_S).close()
    except OSError as error:
        where, reason = f"{database.host}:{database.port}", error.strerror or error
        raise UserError(f"no database answers at {where}: {reason}; is it running, and the address right?") from None


def _password(file: Path) -> str:
    try:
        return file.expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"metadata: cannot read the password file {file}: {error}") from None


def begin(store: mlmd.MetadataStore, run: str, facts: dict[str, str]) -> None:
    """Makes the run's context, which TFX's nodes then join, and writes into it what the run is.

    Args:
      store: ML Metadata.
      run: TFX's id of the run.
      facts: what is known of it, as text; the command and the process are added.
    """
    kind = metadata_store_pb2.ContextType(name=RUN_CONTEXT)
    context = metadata_store_pb2.Context(name=run, type_id=store.put_context_type(kind))
    _write(context, {**facts, "command": shlex.join(["python", *sys.argv]), "process": _process()})
    store.put_contexts([context])


def end(store: mlmd.MetadataStore, run: str, failed: str = "", error: str = "", interrupted: str = "") -> None:
    """Writes that the run has ended.

    Args:
      store: ML Metadata.
      run: TFX's id of the run.
      failed: the node that failed, if one did.
      error: its error.
      interrupted: the node that Ctrl-C ended, or BETWEEN.
    """
    context = store.get_context_by_type_and_name(RUN_CONTEXT, run)
    ended = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    facts = {"failed": failed, "error": error, "interrupted": interrupted}
    _write(context, {"ended": ended} | {key: value for key, value in facts.items() if value})
    store.put_contexts([context])


def interrupted_in(facts: Mapping[str, str]) -> str | None:
    """Returns the node that Ctrl-C ended, or BETWEEN; None for a run that was not interrupted."""
    if facts.get("error") == "Interrupted":  # before issue 11, an interrupted node was one that failed with this error
        return facts.get("failed")
    return facts.get("interrupted")


def is_alive(process: str) -> bool | None:
    """Returns whether the process that `begin` wrote down still runs; None where another host has to be asked."""
    host, pid, started = process.rsplit(" ", 2)
    if host != socket.gethostname():
        return None
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(started)) < 2  # the clock may have been set
    except psutil.NoSuchProcess:
        return False


def _process() -> str:
    this = psutil.Process()
    return f"{socket.gethostname()} {this.pid} {this.create_time():.0f}"


def _write(context: metadata_store_pb2.Context, facts: dict[str, str]) -> None:
    for key, value in facts.items():
        context.custom_properties[key].string_value = value
