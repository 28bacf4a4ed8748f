"""Replaces the URIs in a task's input by local paths.

Tasks on Kubeflow Pipelines read and write only the launcher's local folders (`storage.local_paths`), so TFX needs no
file system for the pipeline root's scheme.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storage.local_paths import to_local

Json = dict[str, Any]
# Output that the backend adds to each task since 2.5: a file that the launcher writes; TFX does not know its type
LOGS = "executor-logs"


def localize(executor_input: Json) -> None:
    """Replaces the URIs of all artifacts by local paths, creates the folders of the outputs, and removes LOGS."""
    executor_input.get("outputs", {}).get("artifacts", {}).pop(LOGS, None)
    for artifact in _artifacts(executor_input.get("inputs", {})):
        artifact["uri"] = to_local(artifact["uri"])
    for artifact in _artifacts(executor_input.get("outputs", {})):
        local = to_local(artifact["uri"])
        if local != artifact["uri"]:
            Path(local).mkdir(parents=True, exist_ok=True)  # the launcher creates only the parents
        artifact["uri"] = local


def _artifacts(side: Json) -> Iterator[Json]:
    for each in side.get("artifacts", {}).values():
        yield from each.get("artifacts", [])
