"""Runs and artifacts by the names that people have for them."""

import re
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from errors import UserError
from lineage import history
from lineage.history import OUTPUTS, PUSHED_MODEL, Artifact, Run
from lineage.reading import contexts, earlier, runs

_ID = re.compile(r"[1-9][0-9]{0,8}")


def find_run(store: mlmd.MetadataStore, name: str) -> Run:
    """Returns the run that 'latest', an id, a pipeline (its latest run) or the start of a run's name stands for.

    Raises:
      UserError: when none is, or several are.
    """
    there, name = contexts(store), name.replace(" ", "T")  # as `runs` shows a start
    if not there:
        raise UserError("there are no runs in this store yet")
    if name == "latest":
        found = there[:1]
    else:
        found = [each for each in there if _ID.fullmatch(name) and each.id == int(name)]
        found = found or [each for each in there if each.custom_properties["pipeline"].string_value == name][:1]
        found = found or [each for each in there if each.name.startswith(name)]
    if len(found) != 1:
        some = ", ".join(f"{each.id} ({each.name})" for each in (found or there)[:5])
        text = f"{len(found)} runs begin with {name!r}" if found else f"there is no run {name!r}"
        raise UserError(f"{text}; give an id or the start of a name: {some}, …")
    return next(runs(store, found))


def find_pair(store: mlmd.MetadataStore, first: str, second: str | None) -> tuple[Run, Run]:
    """Returns two runs; for one name alone, the run of the same pipeline before it, and the run.

    Raises:
      UserError: when one of them is not found, or there is none before.
    """
    run = find_run(store, first)
    if second is not None:
        return run, find_run(store, second)
    before = next(earlier(store, run), None)
    if before is None:
        raise UserError(
            f"run {run.id} is the first of pipeline {run.pipeline}, so there is no run before it; give two runs"
        )
    return before, run


def find_artifact(store: mlmd.MetadataStore, name: str) -> Artifact:
    """Returns the artifact that an id, a folder (its own, one inside it, or the one it is pushed to) or a URI means.

    Raises:
      UserError: when none is.
    """
    if _ID.fullmatch(name):
        found = store.get_artifacts_by_id([int(name)])
    else:
        uri = name if "://" in name else str(Path(name).expanduser().resolve())
        folders = [uri, *map(str, Path(uri).parents)] if "://" not in uri else _parents(uri)
        pushed = store.get_artifacts_by_type(PUSHED_MODEL)
        found = next(filter(None, (_at(store, pushed, folder) for folder in folders)), [])
    if not found:
        raise UserError(
            f"there is no artifact {name!r} in this store; give the id or the folder of one, as `show RUN` has them"
        )
    return history.artifact(max(found, key=lambda each: each.id))


def find_written(store: mlmd.MetadataStore, node: str, channel: str, execution: int) -> Artifact:
    """Returns the artifact that an execution wrote into NODE/CHANNEL/EXECUTION below the artifacts.

    Raises:
      UserError: when there is none.
    """
    ending = f"/{node}/{channel}/{execution}"
    events = store.get_events_by_execution_ids([execution]) if _ID.fullmatch(str(execution)) else []
    made = [event.artifact_id for event in events if event.type in OUTPUTS]
    found = [each for each in store.get_artifacts_by_id(made) if each.uri.endswith(ending)] if made else []
    if not found:
        raise UserError(f"there is no artifact in a folder {ending} in this store")
    return history.artifact(found[0])


def _at(store: mlmd.MetadataStore, pushed: list[metadata_store_pb2.Artifact], folder: str) -> Any:
    """Returns the artifacts that are pushed to a folder, or else those whose own it is."""
    there = [each for each in pushed if each.custom_properties["pushed_destination"].string_value == folder]
    return there or store.get_artifacts_by_uri(folder)


def _parents(uri: str) -> list[str]:
    """Returns a bucket's folder and those above it."""
    bucket, *parts = uri.split("://", 1)[1].rstrip("/").split("/")
    scheme = uri.split("://", 1)[0]
    return ["/".join([f"{scheme}://{bucket}", *parts[:count]]) for count in range(len(parts), 0, -1)]
