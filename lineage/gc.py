"""`gc`: finds artifact folders that are no longer needed, and deletes them on request.

Pushed models, the latest blessed model of each pipeline, and all artifacts of the runs that made them are kept,
whatever their age. A pushed version counts as removed only if its parent folder contains something else: a missing or
empty parent may be an unmounted volume, and an unreadable parent may contain the version.
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
from lineage import pushed, text
from lineage.history import INFRA_BLESSING, MODEL_BLESSING, Execution, Graph
from lineage.lock import lock_output
from lineage.reading import read_all

_DAY_S = 24 * 60 * 60


def collect(store: mlmd.MetadataStore, output: Path, days: float, delete: bool) -> dict[str, Any]:
    """Returns the folders below `output` that are no longer needed; deletes them if `delete` is true.

    Args:
      store: opened for writing if `delete` is true.
      output: the runs' output folder; only its `artifacts` folder is examined.
      days: artifacts that no run has used for this many days are too old.
      delete: deletes the folders and marks their artifacts as deleted in the store.

    Raises:
      UserError: when a run is using the folder, the folder has no artifacts, or a folder cannot be deleted.
    """
    root = output.expanduser().resolve() / "artifacts"
    if not is_folder(root):
        raise UserError(
            f"expected an output folder with artifacts, but {root} does not exist; give another folder (--output DIR)"
        )
    with lock_output(root.parent):
        graph, before = read_all(store), time.time() - days * _DAY_S
        found = [*_expired(graph, root, before), *_orphans(graph, root), *_abandoned_checkpoints(root, before)]
        if delete:
            _mark_deleted(store, [each["id"] for each in found if each["id"]])
            _delete([each["path"] for each in found])
    kept, unreachable = (sorted(set(folders.values())) for folders in _pushed(graph))
    total = sum(each["bytes"] or 0 for each in found)
    return {"kept": kept, "unreachable": unreachable, "deleted": delete, "bytes": total, "folders": found}


def _delete(paths: list[str]) -> None:
    problems = []
    for path in paths:
        try:
            shutil.rmtree(path)
        except OSError as error:
            problems.append(f"cannot delete {path}: {error.strerror}")
    if problems:
        raise UserError("\n".join(problems))


def _expired(graph: Graph, root: Path, before: float) -> Iterator[dict[str, Any]]:
    """Yields the folders of artifacts that are too old and that no kept model needs."""
    last_use: dict[int, float] = {}
    for execution in (each for each in graph.executions.values() if not each.is_resolver):
        for number in _artifacts_of(execution):
            last_use[number] = max(last_use.get(number, 0), execution.ended or 0)
    needed = _needed(graph)
    for artifact in graph.artifacts.values():
        is_old = last_use.get(artifact.id, artifact.created) < before
        if is_old and artifact.id not in needed and artifact.live and _is_inside(artifact.uri, root):
            yield _folder(Path(artifact.uri), f"{artifact.type}, too old", artifact.id)


def _needed(graph: Graph) -> set[int]:
    """Returns the ids of kept models and blessings, and of all inputs and outputs of the runs that made them.

    A run that found a kept artifact by a resolver, or reused it from the cache, is not needed. An artifact
    that a needed run's resolver found is needed only if a node read it.
    """
    present, unreachable = _pushed(graph)
    kept = {*present, *unreachable, *_latest_blessed(graph)}
    runs = {graph.makers[each].run for each in kept if each in graph.makers}
    nodes = [each for each in graph.executions.values() if each.run in runs and not each.is_resolver]
    return kept.union(*map(_artifacts_of, nodes))


def _artifacts_of(execution: Execution) -> list[int]:
    return [number for side in (execution.inputs, execution.outputs) for ids in side.values() for number in ids]


def _pushed(graph: Graph) -> tuple[dict[int, str], dict[int, str]]:
    """Returns the folders of pushed models by id: those that exist, and those whose parent folder is unreachable."""
    present, unreachable = {}, {}
    for artifact in graph.artifacts.values():
        folder = artifact.facts.get("pushed_destination")
        if folder and ("://" in folder or exists(folder) or _has_alias(folder)):
            present[artifact.id] = folder
        elif folder and not _has_readable_entries(Path(folder).parent):
            unreachable[artifact.id] = folder
    return present, unreachable


def _has_alias(folder: str) -> bool:
    """Returns whether an alias names a version, whose folder may be missing."""
    parted = pushed.parted(folder)
    found = pushed.look(parted[0]) if parted else None
    return bool(parted and found and found.names_of(parted[1]))


def _has_readable_entries(folder: Path) -> bool:
    """Returns whether a folder has an entry that can be read; if so, a version missing from the folder was removed."""
    try:
        return any(each.lstat() for each in folder.iterdir())  # a folder without x permission can only be listed
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False


def _latest_blessed(graph: Graph) -> Iterator[int]:
    """Yields the id of each pipeline's latest blessing; executions that reused a cached blessing do not count.

    A blessing in a run in which ServingCheck refused the model does not count either: the model is no baseline.
    """
    latest: dict[str, int] = {}
    made = [(number, maker, graph.artifacts[number]) for number, maker in graph.makers.items()]
    refused = {maker.run for _, maker, each in made if each.type == INFRA_BLESSING and not each.facts.get("blessed")}
    for number, maker, artifact in made:
        if artifact.type == MODEL_BLESSING and artifact.facts.get("blessed") and maker.run not in refused:
            latest[maker.pipeline] = max(number, latest.get(maker.pipeline, 0))
    yield from latest.values()


def _orphans(graph: Graph, root: Path) -> Iterator[dict[str, Any]]:
    """Yields the folders of unfinished executions, and folders whose artifact is marked as deleted.

    Folders unknown to this store are kept, because they may belong to another store.
    """
    artifacts = {artifact.uri: artifact.live for artifact in graph.artifacts.values()}
    unfinished = {
        f"{each.pipeline}/{each.node}/{each.id}"
        for each in graph.executions.values()
        if each.state in ("stale", "failed", "interrupted")
    }
    for folder in sorted(root.glob("*/*/*/*")):
        pipeline, node, channel, execution = folder.relative_to(root).parts
        is_leftover = f"{pipeline}/{node}/{execution}" in unfinished and not channel.startswith(".")
        if not artifacts.get(str(folder), not is_leftover) and _is_inside(str(folder), root):
            yield _folder(folder, "left by a killed run", None)


def _abandoned_checkpoints(root: Path, before: float) -> Iterator[dict[str, Any]]:
    """Yields checkpoint folders of unfinished trainings that were not resumed in time."""
    for folder in sorted(root.glob("*/checkpoints/*")):
        if _is_inside(str(folder), root) and _last_write(folder) < before:
            yield _folder(folder, "checkpoints of an unfinished training, too old", None)


def _last_write(folder: Path) -> float:
    """Returns the latest modification time of a folder and its files; infinity if the folder cannot be read."""
    try:
        return max(each.stat().st_mtime for each in (folder, *folder.iterdir()))
    except OSError:
        return math.inf


def _is_inside(uri: str, root: Path) -> bool:
    folder = Path(uri)
    return is_folder(folder) and not folder.is_symlink() and root in folder.resolve().parents


def _folder(path: Path, why: str, artifact: int | None) -> dict[str, Any]:
    return {"path": str(path), "why": why, "id": artifact, "bytes": text.size_of(str(path))}


def _mark_deleted(store: mlmd.MetadataStore, ids: list[int]) -> None:
    artifacts = store.get_artifacts_by_id(ids) if ids else []
    for artifact in artifacts:
        artifact.state = metadata_store_pb2.Artifact.DELETED  # TFX's cache uses only LIVE artifacts
    store.put_artifacts(artifacts)


def print_collected(console: Console, answer: dict[str, Any]) -> None:
    """Prints the result of `collect`."""
    folders = answer["folders"]
    rows = [(text.format_size(each["bytes"]), each["why"], text.relative_path(each["path"])) for each in folders]
    text.print_table(console, rows)
    for folder in answer["kept"]:
        line = f"kept, with all artifacts of the run that made it: {text.relative_path(folder)}"
        console.print(text.safe(line), soft_wrap=True)
    if answer["unreachable"]:
        _print_unreachable(console, answer["unreachable"])
    total = f"{text.format_size(answer['bytes'])} in {len(rows)} folder{'s' * (len(rows) != 1)}"
    console.print(f"deleted {total}" if answer["deleted"] else f"not needed: {total}; add --delete to delete them")


def _print_unreachable(console: Console, versions: list[str]) -> None:
    """Prints the pushed versions that are kept because their folder is unreachable, and how to release them."""
    for version in versions:
        line = f"kept, because its parent folder cannot be read: {text.relative_path(version)}"
        console.print(text.safe(line), soft_wrap=True)
    count = f"{len(versions)} pushed version{'s' * (len(versions) > 1)}"
    console.print(
        f"kept {count}, because the push folder is missing, empty or not readable. Mount the folder or make it "
        "readable, and run this command again. If you deleted these versions yourself, run first:",
        soft_wrap=True,
    )
    for folder in sorted({str(Path(version).parent) for version in versions}):
        console.print(Text(f"  mkdir -p {quote(folder)} && touch {quote(folder)}/.removed"), soft_wrap=True)
