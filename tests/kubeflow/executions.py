"""Checks what Kubeflow's driver and launcher wrote into ML Metadata for the two runs of launcher.py."""

from typing import Any, NamedTuple

from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as proto

from pipeline.cluster.launcher import buckets
from tests.pipeline.cluster.test_launcher import NODES


class Run(NamedTuple):
    """A run: the tasks' states, their outputs' URIs by TASK/OUTPUT, and the properties of these outputs."""

    states: dict[str, str]
    outputs: dict[str, str]
    properties: dict[str, dict[str, Any]]


def runs(store: MetadataStore) -> list[Run]:
    """Returns all runs, oldest first."""
    found: dict[int, Run] = {}
    for execution in sorted(store.get_executions(), key=lambda each: each.id):
        if execution.name.startswith("run/"):
            found[execution.id] = Run({}, {}, {})
            continue
        run = found[execution.custom_properties["parent_dag_id"].int_value]
        task = execution.custom_properties["task_name"].string_value
        run.states[task] = proto.Execution.State.Name(execution.last_known_state)
        events = [each for each in store.get_events_by_execution_ids([execution.id]) if each.type == proto.Event.OUTPUT]
        for event in events:
            (artifact,) = store.get_artifacts_by_id([event.artifact_id])
            values = {key: _value(value) for key, value in artifact.custom_properties.items()}
            run.outputs[f"{task}/{values['display_name']}"] = artifact.uri
            run.properties[f"{task}/{values['display_name']}"] = values
    return list(found.values())


def _value(value: proto.Value) -> Any:
    return getattr(value, value.WhichOneof("value"))


def check(first: Run, second: Run) -> None:
    """Checks two runs of the sample, the second with a baseline and a cached schema."""
    complete = dict.fromkeys([*NODES, "LatestBlessedModel"], "COMPLETE")
    assert first.states == complete
    assert second.states == complete | {"ImportSchemaGen": "CACHED"}
    for run in (first, second):
        assert "/minio/" not in str(run.properties)
        accuracy, blessing = run.properties["Evaluator/evaluation"]["accuracy"], run.properties["Evaluator/blessing"]
        assert 0.1 < accuracy <= 1 and blessing["blessed"] == 1
        destination = run.properties["Pusher/pushed_model"]["pushed_destination"]
        assert "saved_model.pb" in _names(destination)
        assert blessing["current_model"] == run.outputs["Trainer/model"]
        for name in (name for name in complete if run.states[name] == "COMPLETE"):
            assert _names(run.outputs[f"{name}/executor-logs"])
    assert "none.txt" in _names(first.outputs["LatestBlessedModel/model"])
    assert "none.txt" not in _names(second.outputs["LatestBlessedModel/model"])
    print(f"ML Metadata: {len(first.states)} + {len(second.states)} executions, accuracy {accuracy:.3f}", flush=True)


def _names(uri: str) -> list[str]:
    """Returns the names of the objects at and below a URI, relative to it."""
    scheme, bucket, key = buckets.split(uri) or ("", "", "")
    found = [each.name for each in buckets.open_bucket(scheme, bucket).objects(key)]
    return [name.removeprefix(key).lstrip("/") for name in found if name == key or name.startswith(f"{key}/")]
