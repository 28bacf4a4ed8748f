"""Resolves the relative paths in a settings file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import schemas
from ingest.paths import exists
from trainer.section import with_changes

PATHS = (
    "output",
    "data.directory",
    "data.schema_file",
    "data.edits",
    "model.weights",
    "serving_skew.kept",
    "pusher.directory",
    "bulk.data",
    "metadata.password_file",
)
TRUNKS = "embeddings.trunks"  # a list, whose members have weights too


def from_folder(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Returns the values of a settings file with absolute paths; relative ones are resolved from the file's folder.

    So a data set can be moved together with its settings. URIs, `imagenet`, and the names of curated schemas
    that are not files in the folder are unchanged.
    """
    texts = {key: value for key in PATHS if (value := _value(values, key)) and isinstance(value, str)}
    changes: dict[str, Any] = {key: _absolute(key, value, folder) for key, value in texts.items()}
    if isinstance(trunks := _value(values, TRUNKS), list):
        changes[TRUNKS] = [_trunk(trunk, folder) for trunk in trunks]
    return with_changes(values, changes)


def _trunk(trunk: Any, folder: Path) -> Any:
    weights = trunk.get("weights") if isinstance(trunk, Mapping) else None
    if not weights or not isinstance(weights, str):
        return trunk
    return {**trunk, "weights": _absolute("model.weights", weights, folder)}


def _value(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _absolute(key: str, value: str, folder: Path) -> str:
    path = folder / os.path.expanduser(value)  # noqa: PTH111 (Path.expanduser raises an error for an unknown user)
    is_curated = key == "data.schema_file" and Path(value).name == value and (schemas.FOLDER / value).is_file()
    if "://" in value or (key, value) == ("model.weights", "imagenet") or is_curated and not exists(path):
        return value
    return str(path)
