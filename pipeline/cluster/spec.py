"""Reads a PipelineSpec in JSON, of schema 2.0 (Vertex AI) or 2.1 (Kubeflow Pipelines)."""

from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

Json = dict[str, Any]
KINDS = {"intValue": int, "doubleValue": float, "stringValue": str}  # types of values in schema 2.0


def constant(source: Json) -> Any:
    """Returns the value of a constant of either schema."""
    return source["constant"] if "constant" in source else plain(source["constantValue"])


def plain(value: Json) -> Any:
    """Returns a value of schema 2.0 as a Python value: 3 for {'intValue': '3'}."""
    ((kind, content),) = value.items()
    return KINDS[kind](content)


def in_order(spec: Json) -> Iterator[tuple[str, set[str]]]:
    """Yields (task, upstream tasks) of a PipelineSpec in topological order."""
    upstream = {name: _upstream(task) for name, task in spec["root"]["dag"]["tasks"].items()}
    yield from ((name, upstream[name]) for name in TopologicalSorter(upstream).static_order())


def _upstream(task: Json) -> set[str]:
    artifacts = task.get("inputs", {}).get("artifacts", {}).values()
    return set(task.get("dependentTasks", [])) | {source["taskOutputArtifact"]["producerTask"] for source in artifacts}
