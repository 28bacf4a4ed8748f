"""Replaces the URIs in a task's input by local paths, and the local paths in its output by URIs.

Tasks on Kubeflow Pipelines read and write only the launcher's local folders (`storage.local_paths`), so TFX needs no
file system for the pipeline root's scheme.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from storage.local_paths import to_local, with_uris

Json = dict[str, Any]


def localize(executor_input: Json) -> None:
    """Replaces the URIs of all artifacts by local paths, and creates the folders of the outputs."""
    for artifact in _artifacts(executor_input.get("inputs", {})):
        artifact["uri"] = to_local(artifact["uri"])
    for artifact in _artifacts(executor_input.get("outputs", {})):
        local = to_local(artifact["uri"])
        if local != artifact["uri"]:
            Path(local).mkdir(parents=True, exist_ok=True)  # the launcher creates only the parents
        artifact["uri"] = local


def with_bucket_uris(value: Any) -> Any:
    """Returns a JSON value, such as an ExecutorOutput, with URIs in place of local paths in all its texts."""
    if isinstance(value, str):
        return with_uris(value)
    if isinstance(value, list):
        return [with_bucket_uris(each) for each in value]
    if isinstance(value, dict):
        return {key: with_bucket_uris(each) for key, each in value.items()}
    return value


def _artifacts(side: Json) -> Iterator[Json]:
    for each in side.get("artifacts", {}).values():
        yield from each.get("artifacts", [])
