"""Opens an existing ML Metadata store, or the API of a cluster."""

import sqlite3
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from errors import UserError
from lineage import metadata
from lineage.mlmd_source import MlmdSource
from lineage.source import Source
from storage import certificates

_SERVICES = ("http", "https", "vertex")  # schemes of addresses that are not a database
_ANSWERED = "runs, show, lineage, diff or models"


def open_source(address: str, password_file: Path | None = None) -> Source:
    """Returns what the commands read.

    Args:
      address: see `open_store`; or http://HOST:PORT or https://HOST/PATH of Kubeflow Pipelines, or
        vertex://PROJECT/REGION.
      password_file: see `open_store`.

    Raises:
      UserError: when the address is invalid, or the store cannot be used.
    """
    scheme = address.partition("://")[0] if "://" in address else ""
    if scheme in _SERVICES:
        certificates.check(address)
    if scheme in ("http", "https"):
        from lineage.remote import kubeflow  # imports google.api_core

        return kubeflow.connect(address)
    if scheme == "vertex":
        from lineage.remote import vertex  # imports google.auth

        return vertex.connect(address)
    return MlmdSource(open_store(address, password_file))


def open_store(address: str, password_file: Path | None = None, writable: bool = False) -> mlmd.MetadataStore:
    """Returns the opened store.

    Args:
      address: an output folder, its SQLite file, or a database's address; see `metadata.connection_config`.
      password_file: contains the password of the database's user.
      writable: opens a SQLite file for writing too.

    Raises:
      UserError: when the store does not exist, or cannot be used.
    """
    if address.partition("://")[0] in _SERVICES and "://" in address:
        raise UserError(f"this command needs a store of ML Metadata, and {address} has none; use {_ANSWERED}")
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
