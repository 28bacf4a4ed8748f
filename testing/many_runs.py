"""A store of many runs of 12 nodes, each node reading what the one before put out."""

from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from lineage import metadata

_RUNS, _NODES = 1000, 12
_INPUT, _OUTPUT = metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.OUTPUT


def fill(store: mlmd.MetadataStore, runs: int = _RUNS) -> int:
    """Writes so many runs; returns the last artifact."""
    names = ["Model" if number == 5 else f"Output{number}" for number in range(_NODES)]
    kinds = [store.put_artifact_type(metadata_store_pb2.ArtifactType(name=name)) for name in names]
    node_type = store.put_execution_type(metadata_store_pb2.ExecutionType(name="Node"))
    context_type = store.put_context_type(metadata_store_pb2.ContextType(name="node"))
    nodes = [metadata_store_pb2.Context(name=f"flowers.Node{number}", type_id=context_type) for number in range(_NODES)]
    for node, number in zip(nodes, store.put_contexts(nodes), strict=True):
        node.id = number
    for number in range(runs):
        run = f"2026-{number:06d}"
        metadata.record_start(store, run, {"pipeline": "flowers", "settings": "{}"})
        metadata.record_end(store, run)
        context = store.get_context_by_type_and_name(metadata.RUN_CONTEXT, run)
        last = None
        for node, kind in zip(nodes, kinds, strict=True):
            last = _run_node(store, node_type, kind, [context, node], last)
    return last.id if last else 0


def _run_node(store: mlmd.MetadataStore, node_type: int, kind: int, contexts: list, read: Any) -> Any:
    """Writes an execution that read an artifact, if there is one, and returns the one it made."""
    state = metadata_store_pb2.Execution.COMPLETE
    execution = metadata_store_pb2.Execution(type_id=node_type, last_known_state=state)
    execution.custom_properties["custom_config"].string_value = '{"recipe": {"trainer": {"epochs": 10}}}'
    made = metadata_store_pb2.Artifact(type_id=kind, uri="/nowhere", state=metadata_store_pb2.Artifact.LIVE)
    pairs = [(made, _event(_OUTPUT))]
    if read:
        pairs.append((read, _event(_INPUT)))
    _, (made.id, *_), _ = store.put_execution(execution, pairs, contexts)
    return made


def _event(kind: int) -> metadata_store_pb2.Event:
    event = metadata_store_pb2.Event(type=kind)
    event.path.steps.add().key = "model"
    return event
