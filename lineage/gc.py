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
from rich.filesize import decimal

from datasets.errors import UserError
from lineage import text
from lineage.history import Artifact, Execution, Graph, Query, contexts, runs, subgraph
from pipeline.prepared import only_run

_DAY = 24 * 60 * 60.0


def collect(store: mlmd.MetadataStore, output: Path, days: float, delete: bool) -> dict[str, Any]:
    """Returns what below `output` may go, and deletes it if told to.

    Args:
      store: opened for writing where `delete` is true.
      output: the runs' output folder; nothing outside its `artifacts` is ever looked at.
      days: artifacts and unfinished trainings that no run has touched for so long are too old.
      delete: removes the folders, and marks their artifacts as deleted in the store.

    Raises:
      UserError: when a run is using the folder.
    """
    root = output.expanduser().resolve() / "artifacts"
    if not root.is_dir():
        raise UserError(f"there are no artifacts in {root}; name the runs' output folder (--output)")
    with only_run(root.parent):
        graph = _everything(store)
        old = list(_expired(store, graph, root, days))
        orphans = [*_orphans(graph, root), *_stopped(root, days)]
        if delete:
            _forget(store, [each.id for each in old])
            for folder in [*(Path(each.uri) for each in old), *orphans]:
                shutil.rmtree(folder)
    sizes = {str(folder): text.size_of(str(folder)) for folder in orphans}
    return {
        "deleted": delete,
        "artifacts": [{"id": each.id, "type": each.type, "uri": each.uri} for each in old],
        "orphans": [{"path": path} for path in sizes],
    }
