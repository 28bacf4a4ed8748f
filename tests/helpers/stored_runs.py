"""The runs of a store of ML Metadata as plain values, which local servers send in the format of another API."""

import datetime
import json
import uuid
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
from google.protobuf import json_format
from google.protobuf.message import Message
from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2

from lineage import metadata
from tests.helpers.submission_checks import Refused

Json = dict[str, Any]
_INPUTS = (mlmd_pb2.Event.INPUT, mlmd_pb2.Event.DECLARED_INPUT)
_STATES = mlmd_pb2.Execution
_RESOLVERS = ("LatestBlessedModel",)


def key(kind: str, number: int) -> str:
    """Returns the id that the servers have for an id of ML Metadata."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{number}"))


class Stored:
    """The runs of a store, oldest first, as plain values with the APIs' ids."""

    def __init__(self, output: Path):
        config = metadata.connection_config(str(output / metadata.SQLITE))
        self.store = mlmd.MetadataStore(config)
        contexts = sorted(self.store.get_contexts_by_type("pipeline_run"), key=lambda each: each.id)
        self.runs = [self._run(each) for each in contexts]
        self.ids = {run["id"]: run["number"] for run in self.runs}
        self.ids |= {task["id"]: task["number"] for run in self.runs for task in run["tasks"]}
        self.artifacts = {each.id: each for each in self.store.get_artifacts()}
        self.ids |= {key("artifact", each): each for each in self.artifacts}

    def _run(self, context: mlmd_pb2.Context) -> Json:
        facts = facts_of(context)
        executions = sorted(self.store.get_executions_by_context(context.id), key=lambda each: each.id)
        tasks = [self._task(each, facts) for each in executions]
        failed = "failed" in facts or "ended" not in facts  # a killed process: the task's container failed
        return {
            "number": context.id,
            "id": key("run", context.id),
            "name": context.name,
            "created": context.create_time_since_epoch,
            "finished": max((task["ended"] for task in tasks), default=context.create_time_since_epoch),
            "state": "FAILED" if failed else "SUCCEEDED",
            "facts": facts,
            "tasks": tasks,
        }

    def _task(self, execution: mlmd_pb2.Execution, run: Json) -> Json:
        contexts = self.store.get_contexts_by_execution(execution.id)
        node = next(each.name for each in contexts if each.type == "node").partition(".")[2]
        sides: tuple[Json, Json] = ({}, {})
        for event in self.store.get_events_by_execution_ids([execution.id]):
            channel = next(step.key for step in event.path.steps if step.HasField("key"))
            side = sides[0] if event.type in _INPUTS else sides[1]
            if event.artifact_id not in side.setdefault(channel, []):
                side[channel].append(event.artifact_id)
        states = {_STATES.COMPLETE: "SUCCEEDED", _STATES.CACHED: "CACHED"}
        state = states.get(execution.last_known_state, "FAILED")
        return {
            "number": execution.id,
            "id": key("execution", execution.id),
            "node": node,
            "state": state,
            "started": execution.create_time_since_epoch,
            "ended": execution.last_update_time_since_epoch,
            "error": run.get("error", "exit code 137") if state == "FAILED" else "",
            "inputs": sides[0],
            "outputs": sides[1],
            "parameters": {name: value for name, value in facts_of(execution).items() if not name.startswith("__")},
        }

    def spec(self, run: Json, constant: str) -> Json:
        """Returns the PipelineSpec of a run, in which the number of epochs is a parameter of the pipeline.

        Args:
          run: a run of `runs`.
          constant: how the schema writes a constant text: "constant" (2.1) or "constantValue" (2.0).
        """
        nodes = {task["node"]: task["parameters"] for task in run["tasks"]}
        settings = json.loads(run["facts"]["settings"])
        settings["trainer"]["epochs"] = 999  # what was compiled; the run has another value
        compiled = {"settings": json.dumps(settings), "code": run["facts"]["code"]}
        nodes["Report"] = nodes.get("Report", {}) | compiled
        values = {
            name: {key: _constant(value, constant) for key, value in each.items()} for name, each in nodes.items()
        }
        values["Report"]["epochs"] = {"componentInputParameter": "epochs"}
        executors = {f"{name}_executor": _executor(name) for name in nodes}
        return {
            "pipelineInfo": {"name": run["facts"]["pipeline"]},
            "root": {
                "inputDefinitions": {"parameters": {"epochs": {}}},
                "dag": {
                    "tasks": {
                        name: {"componentRef": {"name": name}, "inputs": {"parameters": each}}
                        for name, each in values.items()
                    }
                },
            },
            "components": {name: {"executorLabel": f"{name}_executor"} for name in nodes},
            "deploymentSpec": {"executors": executors},
        }


def _executor(node: str) -> Json:
    args = ["--executor_class_path", f"components.{node}_Executor"]
    return {"resolver": {}} if node in _RESOLVERS else {"container": {"args": args}}


def _constant(value: Any, form: str) -> Json:
    kinds = {int: "intValue", float: "doubleValue", str: "stringValue"}
    return {"runtimeValue": {form: value if form == "constant" else {kinds[type(value)]: value}}}


def title(artifact: mlmd_pb2.Artifact) -> str:
    return artifact.type if "." in artifact.type else f"tfx.{artifact.type}"


def facts_of(found: Any) -> Json:
    values = [*found.properties.items(), *found.custom_properties.items()]
    plain = {name: getattr(value, value.WhichOneof("value")) for name, value in values}
    return {name: _struct(each) if isinstance(each, Message) else each for name, each in plain.items()}


def _struct(value: Message) -> Json:
    return dict(sorted(json_format.MessageToDict(value).items()))  # as protobuf's JSON for Go


def time_of(milliseconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def page_of(items: list[Json], query: dict[str, str], size: str, token: str) -> tuple[list[Json], str]:
    start, count = int(query.get(token, 0)), int(query.get(size) or 20)
    return items[start : start + count], str(start + count) if start + count < len(items) else ""


def found_in(items: list[Json], name: str, wanted: str) -> Json:
    for each in items:
        if each[name] == wanted:
            return each
    raise Refused(404, f"{wanted} not found")
