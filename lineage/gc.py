"""`gc`: which folders nothing needs any more, and, told so, their deletion.

What a pushed model or the latest blessed one of a pipeline was made of stays, whatever its age. A pushed version
counts as removed only where the folder of its versions holds something else: a missing or empty one may not be mounted,
and one that cannot be read may hold the version.
"""

import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from rich.console import Console
from rich.text import Text

from errors import UserError
from ingest.paths import exists, is_folder
from lineage import text
from lineage.history import Execution, Graph
from lineage.lock import only_run
from lineage.reading import everything

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
    if not is_folder(root):
        raise UserError(f"there are no artifacts in {output}; name the output folder of the runs (--output)")
    with only_run(root.parent):
        graph, before = everything(store), time.time() - days * _DAY_S
        found = [*_expired(graph, root, before), *_orphans(graph, root), *_stopped(root, before)]
        if delete:
            _forget(store, [each["id"] for each in found if each["id"]])
            _remove([each["path"] for each in found])
    kept, unseen = (sorted(set(pushed.values())) for pushed in _pushed(graph))
    total = sum(each["bytes"] or 0 for each in found)
    return {"kept": kept, "unseen": unseen, "deleted": delete, "bytes": total, "folders": found}


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
    for execution in (each for each in graph.executions.values() if not each.is_resolver):
        for number in _artifacts_of(execution):
            touched[number] = max(touched.get(number, 0), execution.ended)
    needed = _needed(graph)
    for artifact in graph.artifacts.values():
        old = touched.get(artifact.id, artifact.created) < before and artifact.id not in needed
        if old and artifact.live and _is_inside(artifact.uri, root):
            yield _folder(Path(artifact.uri), f"{artifact.type}, too old", artifact.id)


def _needed(graph: Graph) -> set[int]:
    """Returns all that the runs read and wrote that made what is kept.

    A run that only found a kept artifact by a resolver, or took it from the cache, is not needed for it (issue 11).
    What a resolver of a needed run found is needed where a node read it.
    """
    here, unseen = _pushed(graph)
    kept = {*here, *unseen, *_latest_blessed(graph)}
    runs = {graph.makers[each].run for each in kept if each in graph.makers}
    nodes = [each for each in graph.executions.values() if each.run in runs and not each.is_resolver]
    return kept.union(*map(_artifacts_of, nodes))


def _artifacts_of(execution: Execution) -> list[int]:
    return [number for side in (execution.inputs, execution.outputs) for ids in side.values() for number in ids]


def _pushed(graph: Graph) -> tuple[dict[int, str], dict[int, str]]:
    """Returns the pushed models that are still there, and those whose folder cannot be seen, by id."""
    here, unseen = {}, {}
    for artifact in graph.artifacts.values():
        place = artifact.facts.get("pushed_destination")
        if place and ("://" in place or exists(place)):
            here[artifact.id] = place
        elif place and not _shows_versions(Path(place).parent):
            unseen[artifact.id] = place
    return here, unseen


def _shows_versions(folder: Path) -> bool:
    """Returns whether a folder holds anything that can be seen, so that a version that is not in it was removed."""
    try:
        return any(each.lstat() for each in folder.iterdir())  # a folder may be listed that cannot be entered
    except OSError:
        return False


def _latest_blessed(graph: Graph) -> Iterator[int]:
    """Yields the latest blessing of each pipeline that was made, not taken from the cache."""
    latest: dict[str, int] = {}
    for number, maker in graph.makers.items():
        artifact = graph.artifacts[number]
        if artifact.type == "ModelBlessing" and artifact.facts.get("blessed"):
            latest[maker.pipeline] = max(number, latest.get(maker.pipeline, 0))
    yield from latest.values()


def _orphans(graph: Graph, root: Path) -> Iterator[dict[str, Any]]:
    """Yields folders where a killed run was to put an artifact, and those whose artifact was deleted.

    What this store does not know may be another store's, and stays.
    """
    artifacts = {artifact.uri: artifact.live for artifact in graph.artifacts.values()}
    unfinished = {
        f"{each.pipeline}/{each.node}/{each.id}"
        for each in graph.executions.values()
        if each.state in ("stale", "failed", "interrupted")
    }
    for folder in sorted(root.glob("*/*/*/*")):
        pipeline, node, channel, execution = folder.relative_to(root).parts
        left = f"{pipeline}/{node}/{execution}" in unfinished and not channel.startswith(".")
        if not artifacts.get(str(folder), not left) and _is_inside(str(folder), root):
            yield _folder(folder, "left by a killed run", None)


def _stopped(root: Path, before: float) -> Iterator[dict[str, Any]]:
    """Yields the checkpoints of trainings that nobody went on with."""
    for folder in sorted(root.glob("*/checkpoints/*")):
        if _is_inside(str(folder), root) and _last_write(folder) < before:
            yield _folder(folder, "checkpoints of a stopped training, too old", None)


def _last_write(folder: Path) -> float:
    """Returns when a folder or a file in it was last written; infinity where the folder cannot be read."""
    try:
        return max(each.stat().st_mtime for each in (folder, *folder.iterdir()))
    except OSError:
        return math.inf


def _is_inside(uri: str, root: Path) -> bool:
    folder = Path(uri)
    return is_folder(folder) and not folder.is_symlink() and root in folder.resolve().parents


def _folder(path: Path, why: str, artifact: int | None) -> dict[str, Any]:
    return {"path": str(path), "why": why, "id": artifact, "bytes": text.size_of(str(path))}


def _forget(store: mlmd.MetadataStore, ids: list[int]) -> None:
    artifacts = store.get_artifacts_by_id(ids) if ids else []
    for artifact in artifacts:
        artifact.state = metadata_store_pb2.Artifact.DELETED  # TFX's cache takes live ones alone
    store.put_artifacts(artifacts)


def print_collected(console: Console, answer: dict[str, Any]) -> None:
    """Prints what `collect` found."""
    rows = [(text.size(each["bytes"]), each["why"], text.relative_path(each["path"])) for each in answer["folders"]]
    text.lines(console, rows)
    for place in answer["kept"]:
        console.print(text.safe(f"kept, with what it was made of: {text.relative_path(place)}"), soft_wrap=True)
    if answer["unseen"]:
        _print_unseen(console, answer["unseen"])
    total = f"{text.size(answer['bytes'])} in {len(rows)} folder{'s' * (len(rows) != 1)}"
    console.print(f"{total} deleted" if answer["deleted"] else f"{total} may be deleted; nothing was (--delete)")


def _print_unseen(console: Console, versions: list[str]) -> None:
    """Says which pushed versions are kept because their folder cannot be seen, and how to give them up."""
    for place in versions:
        console.print(text.safe(f"kept, as its folder cannot be seen: {text.relative_path(place)}"), soft_wrap=True)
    folders = sorted({str(Path(place).parent) for place in versions})
    commands = "\n".join(f"  mkdir -p {quote(each)} && touch {quote(each)}/.removed" for each in folders)
    count = f"{len(versions)} pushed version{'s' * (len(versions) > 1)}"
    console.print(
        text.safe(
            f"{count} kept: the push folder is missing, empty or not readable. Mount it or get the right to read it,"
        ).append(" and run this command again, or, if you removed the versions, put any file into the folder first:"),
        soft_wrap=True,
    )
    console.print(Text(commands), soft_wrap=True)
