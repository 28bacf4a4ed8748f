"""Runs and artifacts by the names that people have for them."""

import re
from pathlib import Path

import ml_metadata as mlmd

from datasets.errors import UserError
from lineage.history import Artifact, Query, Run, contexts, runs, subgraph

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


def find_artifact(store: mlmd.MetadataStore, name: str) -> Artifact:
    """Returns the artifact that an id, a folder (its own, one inside it, or the one it is pushed to) or a URI means.

    Raises:
      UserError: when none is.
    """
    if _ID.fullmatch(name):
        found = _matching(store, f"id = {name}")
    else:
        uri = name if "://" in name else str(Path(name).expanduser().resolve())
        folders = [uri, *map(str, Path(uri).parents)] if "://" not in uri else _parents(uri)
        found = next(filter(None, (_at(store, folder) for folder in folders)), [])
    if not found:
        raise UserError(
            f"there is no artifact {name!r} in this store; give the id or the folder of one, as `show RUN` has them"
        )
    return found[-1]


def find_written(store: mlmd.MetadataStore, ending: str) -> Artifact:
    """Returns the artifact whose folder ends so, as in /Trainer/model/7: an execution's number is its own in a store.

    Raises:
      UserError: when there is none.
    """
    found = [each for each in _matching(store, f"uri LIKE {_quoted('%' + ending)}") if each.uri.endswith(ending)]
    if not found:
        raise UserError(f"there is no artifact in a folder {ending} in this store")
    return found[0]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _at(store: mlmd.MetadataStore, folder: str) -> list[Artifact]:
    quoted = _quoted(folder)
    pushed = _matching(store, f"custom_properties.pushed_destination.string_value = {quoted}")
    return pushed or _matching(store, f"uri = {quoted}")


def _matching(store: mlmd.MetadataStore, text: str) -> list[Artifact]:
    query = Query(max_num_hops=0)
    query.starting_artifacts.filter_query = text
    return list(subgraph(store, query).artifacts.values())


def _parents(uri: str) -> list[str]:
    """Returns a bucket's folder and those above it."""
    bucket, *parts = uri.split("://", 1)[1].rstrip("/").split("/")
    scheme = uri.split("://", 1)[0]
    return ["/".join([f"{scheme}://{bucket}", *parts[:count]]) for count in range(len(parts), 0, -1)]
