"""Reads a PipelineSpec in JSON, of schema 2.0 (Vertex AI) or 2.1 (Kubeflow Pipelines)."""

from collections.abc import Iterator
from graphlib import TopologicalSorter

from lineage.remote.spec import KINDS as KINDS
from lineage.remote.spec import Json as Json
from lineage.remote.spec import constant as constant
from lineage.remote.spec import plain as plain


def in_order(spec: Json) -> Iterator[tuple[str, set[str]]]:
    """Yields (task, upstream tasks) of a PipelineSpec in topological order."""
    upstream = {name: _upstream(task) for name, task in spec["root"]["dag"]["tasks"].items()}
    yield from ((name, upstream[name]) for name in TopologicalSorter(upstream).static_order())


def _upstream(task: Json) -> set[str]:
    artifacts = task.get("inputs", {}).get("artifacts", {}).values()
    return set(task.get("dependentTasks", [])) | {source["taskOutputArtifact"]["producerTask"] for source in artifacts}
