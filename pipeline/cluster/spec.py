"""Reads a PipelineSpec, of schema 2.0 (Vertex AI) or 2.1 (Kubeflow Pipelines), as JSON."""

from collections.abc import Iterator
from graphlib import TopologicalSorter
from typing import Any

Json = dict[str, Any]
KINDS = {"intValue": int, "doubleValue": float, "stringValue": str}  # of a value in schema 2.0


def constant(given: Json) -> Any:
    """Returns the value of a constant, of either schema."""
    return given["constant"] if "constant" in given else plain(given["constantValue"])


def plain(value: Json) -> Any:
    """Returns a value of schema 2.0, such as {'intValue': '3'}, as Python has it."""
    ((kind, content),) = value.items()
    return KINDS[kind](content)


def in_order(spec: Json) -> Iterator[tuple[str, set[str]]]:
    """Yields the tasks of a PipelineSpec, and those that each waits for, after them."""
    upstream = {name: _upstream(task) for name, task in spec["root"]["dag"]["tasks"].items()}
    yield from ((name, upstream[name]) for name in TopologicalSorter(upstream).static_order())


def _upstream(task: Json) -> set[str]:
    artifacts = task.get("inputs", {}).get("artifacts", {}).values()
    return set(task.get("dependentTasks", [])) | {source["taskOutputArtifact"]["producerTask"] for source in artifacts}
