"""`python -m lineage` on a store of 1,000 runs of 12 nodes, each node reading what the one before put out."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
    """Writes so many runs, each kind of thing in one transaction; returns the last artifact."""
    contexts = [_run_context(store, f"2026-{number:06d}") for number in range(runs)]
    kind = store.put_context_type(metadata_store_pb2.ContextType(name="node"))
    names = [f"flowers.Node{number}" for number in range(_NODES)]
    nodes = store.put_contexts([metadata_store_pb2.Context(name=name, type_id=kind) for name in names])
    places = [(run, node) for run in contexts for node in nodes]
    executions = store.put_executions([_execution(store)] * len(places))
    kinds = [store.put_artifact_type(metadata_store_pb2.ArtifactType(name=name)) for name in _outputs()]
    live = metadata_store_pb2.Artifact.LIVE
    made = [metadata_store_pb2.Artifact(type_id=kind, uri="/nowhere", state=live) for kind in kinds]
    artifacts = store.put_artifacts(made * runs)
    events = [_event(_OUTPUT, *pair) for pair in zip(executions, artifacts, strict=True)]
    pairs = zip(executions[1:], artifacts, strict=False)
    events += [_event(_INPUT, *pair) for number, pair in enumerate(pairs, start=1) if number % _NODES]
    store.put_events(events)
    association = metadata_store_pb2.Association
    associations = [
        association(execution_id=execution, context_id=context)
        for execution, place in zip(executions, places, strict=True)
        for context in place
    ]
    store.put_attributions_and_associations([], associations)
    return artifacts[-1]


def _outputs() -> list[str]:
    return ["Model" if number == 5 else f"Output{number}" for number in range(_NODES)]


def _run_context(store: mlmd.MetadataStore, run: str) -> int:
    metadata.begin(store, run, {"pipeline": "flowers", "settings": "{}"})
    metadata.end(store, run)
    return store.get_context_by_type_and_name(metadata.RUN_CONTEXT, run).id


def _execution(store: mlmd.MetadataStore) -> metadata_store_pb2.Execution:
    kind = store.put_execution_type(metadata_store_pb2.ExecutionType(name="Node"))
    execution = metadata_store_pb2.Execution(type_id=kind, last_known_state=metadata_store_pb2.Execution.COMPLETE)
    execution.custom_properties["custom_config"].string_value = '{"recipe": {"trainer": {"epochs": 10}}}'
    return execution


def _event(kind: int, execution: int, artifact: int) -> metadata_store_pb2.Event:
    event = metadata_store_pb2.Event(type=kind, execution_id=execution, artifact_id=artifact)
    event.path.steps.add().key = "model"
    return event


if __name__ == "__main__":
    main()
