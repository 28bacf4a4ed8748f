"""Fills an ML Metadata store with many runs of 12 nodes, each of which reads the output of the previous node."""

from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from lineage import metadata

_RUNS, _NODES = 1000, 12
_INPUT, _OUTPUT = metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.OUTPUT


def fill(store: mlmd.MetadataStore, runs: int = _RUNS) -> int:
    """Writes the runs; returns the id of the last artifact."""
    names = ["Model" if number == 5 else f"Output{number}" for number in range(_NODES)]
    types = [store.put_artifact_type(metadata_store_pb2.ArtifactType(name=name)) for name in names]
    node_type = store.put_execution_type(metadata_store_pb2.ExecutionType(name="Node"))
    context_type = store.put_context_type(metadata_store_pb2.ContextType(name="node"))
    nodes = [metadata_store_pb2.Context(name=f"flowers.Node{number}", type_id=context_type) for number in range(_NODES)]
    for node, node_id in zip(nodes, store.put_contexts(nodes), strict=True):
        node.id = node_id
    for number in range(runs):
        run = f"2026-{number:06d}"
        metadata.record_start(store, run, {"pipeline": "flowers", "settings": "{}"})
        metadata.record_end(store, run)
        context = store.get_context_by_type_and_name(metadata.RUN_CONTEXT, run)
        artifact = None
        for node, artifact_type in zip(nodes, types, strict=True):
            artifact = _write_execution(store, node_type, artifact_type, [context, node], artifact)
    return artifact.id if artifact else 0


def _write_execution(
    store: mlmd.MetadataStore, node_type: int, artifact_type: int, contexts: list, input_artifact: Any
) -> Any:
    """Writes an execution that reads the input artifact, if there is one; returns its output artifact."""
    state = metadata_store_pb2.Execution.COMPLETE
    execution = metadata_store_pb2.Execution(type_id=node_type, last_known_state=state)
    execution.custom_properties["custom_config"].string_value = '{"recipe": {"trainer": {"epochs": 10}}}'
    live = metadata_store_pb2.Artifact.LIVE
    output = metadata_store_pb2.Artifact(type_id=artifact_type, uri="/nowhere", state=live)
    pairs = [(output, _event(_OUTPUT))]
    if input_artifact:
        pairs.append((input_artifact, _event(_INPUT)))
    _, (output.id, *_), _ = store.put_execution(execution, pairs, contexts)
    return output


def _event(event_type: int) -> metadata_store_pb2.Event:
    event = metadata_store_pb2.Event(type=event_type)
    event.path.steps.add().key = "model"
    return event
