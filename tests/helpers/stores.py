"""Writes stores with the ML Metadata library, without running a pipeline."""

import json
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2

from lineage import metadata

Channels = dict[str, list[int]]
COMPLETE, FAILED, RUNNING = mlmd_pb2.Execution.COMPLETE, mlmd_pb2.Execution.FAILED, mlmd_pb2.Execution.RUNNING


class Store:
    """A new SQLite store in an output folder, with the entries that a TFX run writes."""

    def __init__(self, output: Path, pipeline: str):
        output.mkdir(parents=True, exist_ok=True)
        self.store = mlmd.MetadataStore(metadata.connection_config(str(output / metadata.SQLITE)))
        self.output, self.pipeline = output, pipeline

    def artifact(self, kind: str, uri: str | Path, **facts: Any) -> int:
        """Writes an artifact and returns its id."""
        made = mlmd_pb2.Artifact(
            type_id=self.store.put_artifact_type(mlmd_pb2.ArtifactType(name=kind)),
            uri=str(uri),
            state=mlmd_pb2.Artifact.LIVE,
        )
        set_facts(made, facts)
        return self.store.put_artifacts([made])[0]

    def run(self, name: str, facts: dict[str, str]) -> int:
        """Writes a run that has ended and returns its id."""
        metadata.record_start(self.store, name, facts)
        metadata.record_end(self.store, name, facts.get("failed", ""), facts.get("error", ""))
        return self.store.get_context_by_type_and_name(metadata.RUN_CONTEXT, name).id

    def execution(
        self, run: int, node: str, inputs: Channels, outputs: Channels, state: Any = COMPLETE, kind: str = "", **facts
    ) -> int:
        """Writes the execution of a node in a run, and returns its id. The type is `kind`, or else the node's name."""
        type_id = self.store.put_execution_type(mlmd_pb2.ExecutionType(name=kind or node))
        made = mlmd_pb2.Execution(type_id=type_id, last_known_state=state)
        set_facts(made, {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()})
        sides = ((mlmd_pb2.Event.INPUT, inputs), (mlmd_pb2.Event.OUTPUT, outputs))
        pairs = [_event(side, key, each) for side, channels in sides for key in channels for each in channels[key]]
        contexts = [self.store.get_contexts_by_id([run])[0], self._node(node)]
        artifacts = [(self.store.get_artifacts_by_id([event.artifact_id])[0], event) for event in pairs]
        return self.store.put_execution(made, artifacts, contexts)[0]

    def _node(self, node: str) -> mlmd_pb2.Context:
        kind = self.store.put_context_type(mlmd_pb2.ContextType(name="node"))
        name = f"{self.pipeline}.{node}"
        found = self.store.get_context_by_type_and_name("node", name)
        return found or mlmd_pb2.Context(type_id=kind, name=name)


def _event(side: int, channel: str, artifact: int) -> mlmd_pb2.Event:
    event = mlmd_pb2.Event(artifact_id=artifact, type=side)
    event.path.steps.add().key = channel
    event.path.steps.add().index = 0
    return event


def set_facts(to: Any, facts: dict[str, Any]) -> None:
    """Sets custom properties of an artifact, an execution or a context."""
    fields = {str: "string_value", int: "int_value", float: "double_value"}
    for key, value in facts.items():
        setattr(to.custom_properties[key], fields[type(value)], value)
