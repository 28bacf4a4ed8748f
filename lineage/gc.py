"""`gc`: which folders nothing needs any more, and, told so, their deletion.

What a pushed model or the latest blessed one of a pipeline was made of stays, whatever its age.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from rich.console import Console

from datasets.errors import UserError
from lineage import text
from lineage.history import Execution, Graph
from lineage.reading import everything
from pipeline.prepared import only_run

_DAY_S = 24 * 60 * 60


def collect(store: mlmd.MetadataStore, output: Path, days: float, delete: bool) -> dict[str, Any]:
    """Returns what below `output` may go, and deletes it if told to.

    Args:
      store: opened for writing where `delete` is true.
      output: the runs' output folder; nothing outside its `artifacts` is looked at.
      days: what no run has touched for so long is too old.
      delete: removes the folders, and marks their artifacts as deleted in the store.

    Raises:
      UserError: when a run is using the folder, it holds no artifacts, or one cannot be deleted.
    """
    root = output.expanduser().resolve() / "artifacts"
    if not root.is_dir():
        raise UserError(f"there are no artifacts in {output}; name the output folder of the runs (--output)")
    with only_run(root.parent):
        graph, before = everything(store), time.time() - days * _DAY_S
        found = [*_expired(graph, root, before), *_orphans(graph, root), *_stopped(root, before)]
        if delete:
            _forget(store, [each["id"] for each in found if each["id"]])
            _remove([each["path"] for each in found])
    kept = sorted({graph.artifacts[each].facts["pushed_destination"] for each in _pushed(graph)})
    return {"kept": kept, "deleted": delete, "bytes": sum(each["bytes"] or 0 for each in found), "folders": found}


def _remove(paths: list[str]) -> None:
    problems = []
    for path in paths:
        try:
            shutil.rmtree(path)
        except OSError as error:
            problems.append(f"cannot delete {path}: {error.strerror}")
    if problems:
        raise UserError("\n".join(problems))


def _expired(graph: Graph, root: Path, before: float) -> Iterator[dict[str, Any]]:
    """Yields the artifacts that are too old, and that no model in use was made of."""
    touched: dict[int, float] = {}
    for execution in graph.executions.values():
        for number in _artifacts_of(execution):
            touched[number] = max(touched.get(number, 0), execution.ended)
    needed = _needed(graph)
    for artifact in graph.artifacts.values():
        old = touched.get(artifact.id, artifact.created) < before and artifact.id not in needed
        if old and artifact.live and _is_inside(artifact.uri, root):
            yield _folder(Path(artifact.uri), f"{artifact.type}, too old", artifact.id)


def _needed(graph: Graph) -> set[int]:
    """Returns all that the runs read and wrote that pushed a model which is still there, or blessed the latest."""
    kept = {*_pushed(graph), *_latest_blessed(graph)}
    runs = {each.run for each in graph.executions.values() if kept & set(_artifacts_of(each))}
    return {number for each in graph.executions.values() if each.run in runs for number in _artifacts_of(each)}


def _artifacts_of(execution: Execution) -> list[int]:
    return [number for side in (execution.inputs, execution.outputs) for ids in side.values() for number in ids]


def _pushed(graph: Graph) -> Iterator[int]:
    for artifact in graph.artifacts.values():
        place = artifact.facts.get("pushed_destination")
        if place and ("://" in place or Path(place).exists()):
            yield artifact.id


def _latest_blessed(graph: Graph) -> Iterator[int]:
    latest: dict[str, int] = {}
    for execution in graph.executions.values():  # in the order of their ids
        for number in execution.outputs.get("blessing", []):
            if execution.node == "Evaluator" and graph.artifacts[number].facts.get("blessed"):
                latest[execution.pipeline] = number
    yield from latest.values()


def _orphans(graph: Graph, root: Path) -> Iterator[dict[str, Any]]:
    """Yields folders where a killed run was to put an artifact, and those whose artifact was deleted.

    What this store does not know may be another store's, and stays.
    """
    artifacts = {artifact.uri: artifact.live for artifact in graph.artifacts.values()}
    unfinished = {
        f"{each.pipeline}/{each.node}/{each.id}"
        for each in graph.executions.values()
        if each.state in ("stale", "failed")
    }
    for folder in sorted(root.glob("*/*/*/*")):
        pipeline, node, channel, execution = folder.relative_to(root).parts
        left = f"{pipeline}/{node}/{execution}" in unfinished and not channel.startswith(".")
        if not artifacts.get(str(folder), not left) and _is_inside(str(folder), root):
            yield _folder(folder, "left by a killed run", None)


def _stopped(root: Path, before: float) -> Iterator[dict[str, Any]]:
    """Yields the checkpoints of trainings that nobody went on with."""
    for folder in sorted(root.glob("*/checkpoints/*")):
        if _is_inside(str(folder), root) and max(each.stat().st_mtime for each in (folder, *folder.iterdir())) < before:
            yield _folder(folder, "checkpoints of a stopped training, too old", None)


def _is_inside(uri: str, root: Path) -> bool:
    folder = Path(uri)
    return folder.is_dir() and not folder.is_symlink() and root in folder.resolve().parents


def _folder(path: Path, why: str, artifact: int | None) -> dict[str, Any]:
    return {"path": str(path), "why": why, "id": artifact, "bytes": text.size_of(str(path))}


def _forget(store: mlmd.MetadataStore, ids: list[int]) -> None:
    artifacts = store.get_artifacts_by_id(ids) if ids else []
    for artifact in artifacts:
        artifact.state = metadata_store_pb2.Artifact.DELETED  # TFX's cache takes live ones alone
    store.put_artifacts(artifacts)


def print_collected(console: Console, answer: dict[str, Any]) -> None:
    """Prints what `collect` found."""
    rows = [(text.size(each["bytes"]), each["why"], text.near(each["path"])) for each in answer["folders"]]
    text.lines(console, rows)
    for place in answer["kept"]:
        console.print(text.safe(f"kept, with what it was made of: {text.near(place)}"), soft_wrap=True)
    total = f"{text.size(answer['bytes'])} in {len(rows)} folders"
    console.print(f"{total} deleted" if answer["deleted"] else f"{total} may be deleted; nothing was (--delete)")
