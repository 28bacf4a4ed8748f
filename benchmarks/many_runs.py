"""`python -m lineage` on a store of 1,000 runs of 12 nodes, each node reading what the one before put out."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from benchmarks.measure import ROOT, report
from pipeline import metadata

_RUNS, _NODES = 1000, 12
_INPUT, _OUTPUT = metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.OUTPUT


def main() -> None:
    """Prints the best of three for each question."""
    with tempfile.TemporaryDirectory() as folder:
        store = mlmd.MetadataStore(metadata.connection(str(Path(folder) / metadata.SQLITE)))
        last = fill(store)
        (Path(folder) / "artifacts").mkdir()  # gc looks into it
        questions = (
            ["runs"],
            ["runs", "--state", "failed"],
            ["runs", "--state", "refused"],
            ["runs", "--state", "stale"],
            ["show"],
            ["lineage", str(last)],
            ["models"],
            ["why", "Node5"],
            ["diff", "latest"],
            ["gc"],
        )
        for words in questions:
            seconds = min(_asked(words, folder) for _ in range(3))
            report(f"python -m lineage {' '.join(words)}, 1,000 runs", f"{seconds:.2f} s", "<= 2 s", seconds <= 2)


def _asked(words: list[str], folder: str) -> float:
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "lineage", *words, "--store", folder], cwd=ROOT, check=True, capture_output=True
    )
    return time.monotonic() - started


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
        metadata.begin(store, run, {"pipeline": "flowers", "settings": "{}"})
        metadata.end(store, run)
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


if __name__ == "__main__":
    main()
