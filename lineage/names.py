"""Finds runs and artifacts by id, name, folder or URI."""

import re
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from errors import UserError
from lineage import history
from lineage.history import OUTPUTS, PUSHED_MODEL, Artifact, Run
from lineage.reading import previous_runs, read_runs, run_contexts

_ID = re.compile(r"[1-9][0-9]{0,8}")


def find_run(store: mlmd.MetadataStore, name: str) -> Run:
    """Returns a run by its id, a pipeline's name (its latest run), the start of the run's name, or 'latest'.

    Raises:
      UserError: when no run matches, or several do.
    """
    known = run_contexts(store)
    name = name.replace(" ", "T")  # `runs` prints a start time with a space
    if not known:
        raise UserError("there are no runs in this store yet")
    if name == "latest":
        found = known[:1]
    else:
        found = [each for each in known if _ID.fullmatch(name) and each.id == int(name)]
        found = found or [each for each in known if each.custom_properties["pipeline"].string_value == name][:1]
        found = found or [each for each in known if each.name.startswith(name)]
    if len(found) != 1:
        examples = ", ".join(f"{each.id} ({each.name})" for each in (found or known)[:5])
        problem = f"{len(found)} runs begin with {name!r}" if found else f"there is no run {name!r}"
        raise UserError(f"{problem}; give an id or the start of a name: {examples}, …")
    return next(read_runs(store, found))


def find_pair(store: mlmd.MetadataStore, first: str, second: str | None) -> tuple[Run, Run]:
    """Returns both runs; if `second` is None, the previous run of the first run's pipeline, then the first run.

    Raises:
      UserError: when a run is not found, or has no previous run.
    """
    run = find_run(store, first)
    if second is not None:
        return run, find_run(store, second)
    before = next(previous_runs(store, run), None)
    if before is None:
        raise UserError(
            f"run {run.id} is the first of pipeline {run.pipeline}, so there is no run before it; give two runs"
        )
    return before, run


def find_artifact(store: mlmd.MetadataStore, name: str) -> Artifact:
    """Returns the artifact with this id, or the artifact whose folder or pushed folder is or contains this path or URI.

    Raises:
      UserError: when no artifact matches.
    """
    if _ID.fullmatch(name):
        found = store.get_artifacts_by_id([int(name)])
    else:
        uri = name if "://" in name else str(Path(name).expanduser().resolve())
        folders = [uri, *map(str, Path(uri).parents)] if "://" not in uri else _parents(uri)
        pushed = store.get_artifacts_by_type(PUSHED_MODEL)
        found = next(filter(None, (_artifacts_in(store, pushed, folder) for folder in folders)), [])
    if not found:
        raise UserError(
            f"there is no artifact {name!r} in this store; give an artifact's id or folder, which `show RUN` lists"
        )
    return history.artifact(max(found, key=lambda each: each.id))


def find_output(store: mlmd.MetadataStore, node: str, channel: str, execution: int) -> Artifact:
    """Returns the artifact whose folder ends with NODE/CHANNEL/EXECUTION.

    Raises:
      UserError: when the execution did not write such an artifact.
    """
    ending = f"/{node}/{channel}/{execution}"
    events = store.get_events_by_execution_ids([execution]) if _ID.fullmatch(str(execution)) else []
    ids = [event.artifact_id for event in events if event.type in OUTPUTS]
    found = [each for each in store.get_artifacts_by_id(ids) if each.uri.endswith(ending)] if ids else []
    if not found:
        raise UserError(f"there is no artifact whose folder ends with {ending} in this store")
    return history.artifact(found[0])


def _artifacts_in(store: mlmd.MetadataStore, pushed: list[metadata_store_pb2.Artifact], folder: str) -> Any:
    """Returns the artifacts pushed to a folder, or if there are none, the artifacts with this URI."""
    found = [each for each in pushed if each.custom_properties["pushed_destination"].string_value == folder]
    return found or store.get_artifacts_by_uri(folder)


def _parents(uri: str) -> list[str]:
    """Returns a URI and its parents, up to the bucket."""
    bucket, *parts = uri.split("://", 1)[1].rstrip("/").split("/")
    scheme = uri.split("://", 1)[0]
    return ["/".join([f"{scheme}://{bucket}", *parts[:count]]) for count in range(len(parts), 0, -1)]
