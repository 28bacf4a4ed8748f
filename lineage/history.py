"""Plain Python values for what ML Metadata stores: runs, their nodes' executions, and artifacts."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf import json_format
from google.protobuf.message import Message
from ml_metadata.proto import metadata_store_pb2

from lineage.metadata import interrupted_in, is_alive

INPUTS = (metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.DECLARED_INPUT)
OUTPUTS = (
    metadata_store_pb2.Event.OUTPUT,
    metadata_store_pb2.Event.DECLARED_OUTPUT,
    metadata_store_pb2.Event.INTERNAL_OUTPUT,  # of a resolver
)
_STATES = {
    metadata_store_pb2.Execution.NEW: "running",
    metadata_store_pb2.Execution.RUNNING: "running",
    metadata_store_pb2.Execution.COMPLETE: "complete",
    metadata_store_pb2.Execution.CACHED: "cached",
    metadata_store_pb2.Execution.FAILED: "failed",
    metadata_store_pb2.Execution.CANCELED: "failed",
}
PUSHED_MODEL = "PushedModel"  # artifact type; the property pushed_destination is the folder that is served
MODEL_BLESSING, INFRA_BLESSING = "ModelBlessing", "InfraBlessing"  # artifact types of the two verdicts
Facts = dict[str, Any]  # values that JSON can represent
_NUMBERS = ("accuracy", "blessed", "parameters", "pushed", "val_accuracy")
_TEXTS = (
    "accepted",
    "deployed_model",
    "devices",
    "endpoint",
    "endpoint_model",
    "input_fingerprint",
    "judged_split",
    "pushed_destination",
    "refused",
)  # of artifacts
_TEXTS_OF_RUNS = (
    "code",
    "command",
    "ended",
    "error",
    "failed",
    "interrupted",
    "log",
    "pipeline",
    "process",
    "settings",
)
_KINDS: dict[str, Any] = dict.fromkeys(_NUMBERS, int | float) | dict.fromkeys((*_TEXTS, *_TEXTS_OF_RUNS), str)
Id = Any  # a number in ML Metadata, a text on a cluster


class Artifact(NamedTuple):
    """An artifact; `live` is false if it was deleted or never finished, and None if this is unknown."""

    id: Id
    type: str
    uri: str
    live: bool | None
    created: float
    facts: Facts

    @property
    def deleted(self) -> bool | None:
        """Whether the artifact was deleted or never finished; None if this is unknown."""
        return None if self.live is None else not self.live


class Execution(NamedTuple):
    """A node in one run. `inputs` and `outputs` map channels to artifact ids.

    Times are seconds since the epoch; None if unknown.
    """

    id: Id
    run: Id
    pipeline: str
    node: str
    type: str
    state: str
    started: float | None
    ended: float | None
    facts: Facts
    inputs: dict[str, list[Id]]
    outputs: dict[str, list[Id]]

    @property
    def is_maker(self) -> bool:
        """Whether the execution made its outputs: it is not a resolver, and did not reuse outputs from the cache."""
        return self.state != "cached" and not self.is_resolver

    @property
    def is_resolver(self) -> bool:
        """Whether the node is a resolver, which only queries the store."""
        return is_resolver(self.type)


class Graph(NamedTuple):
    """Executions and artifacts by id, in the store's order.

    `makers` and `readers` map an artifact's id to executions. They omit resolvers and cached executions.
    """

    executions: dict[Id, Execution]
    artifacts: dict[Id, Artifact]
    makers: dict[Id, Execution]
    readers: dict[Id, list[Execution]]


class Run(NamedTuple):
    """A run. `name` is TFX's run id (the start time), `facts` are recorded by the runner, `executions` are in order.

    Of a run on a cluster, `facts` have what the compiled pipeline and the service's API say.
    """

    id: Id
    name: str
    started: float | None
    facts: Facts
    executions: list[Execution]
    artifacts: dict[Id, Artifact]

    @property
    def pipeline(self) -> str:
        """The pipeline's name: the name of the preset, or the name in the settings file."""
        return self.executions[0].pipeline if self.executions else self.facts.get("pipeline", "")

    def node(self, name: str) -> Execution | None:
        """Returns the execution of a node; None if the run did not reach it."""
        return next((each for each in self.executions if each.node.lower() == name.lower()), None)

    def output(self, channel: str) -> Artifact | None:
        """Returns the first artifact of an output, given 'Node.output', or None."""
        node, _, output = channel.partition(".")
        execution = self.node(node)
        ids = execution.outputs.get(output, []) if execution else []
        return self.artifacts[ids[0]] if ids else None


def is_resolver(execution_type: str) -> bool:
    """Returns whether this is the execution type of a resolver."""
    return execution_type.endswith(".Resolver")


def is_over(run: Facts) -> bool:
    """Returns whether a run has ended or its process was killed; on another host, only whether it has ended."""
    return "ended" in run or ("process" in run and is_alive(run["process"]) is False)


def graph(
    executions: dict[int, metadata_store_pb2.Execution],
    artifacts: dict[int, metadata_store_pb2.Artifact],
    events: Iterable[metadata_store_pb2.Event],
    nodes: dict[int, metadata_store_pb2.Context],
    runs: dict[int, metadata_store_pb2.Context],
) -> Graph:
    """Returns executions and artifacts as plain values.

    Args:
      executions: by id.
      artifacts: by id; at least those that the events name.
      events: of the executions.
      nodes: the node context of each execution, named PIPELINE.NODE.
      runs: the run context of each execution.
    """
    channels: dict[int, tuple[dict, dict]] = {number: ({}, {}) for number in executions}
    for event in events:
        _add_event(event, channels, artifacts)
    found = {
        number: _execution(executions[number], nodes.get(number), runs.get(number), *channels[number])
        for number in sorted(executions)
    }
    return link(found, {number: artifact(artifacts[number]) for number in sorted(artifacts)})


def link(executions: Mapping[Id, Execution], artifacts: Mapping[Id, Artifact]) -> Graph:
    """Returns a graph of the executions and artifacts, given in their order."""
    makers: dict[Id, Execution] = {}
    readers: dict[Id, list[Execution]] = {}
    for execution in (each for each in executions.values() if each.is_maker):
        for number in (number for ids in execution.outputs.values() for number in ids):
            makers.setdefault(number, execution)
        for number in dict.fromkeys(number for ids in execution.inputs.values() for number in ids):
            readers.setdefault(number, []).append(execution)
    return Graph(dict(executions), dict(artifacts), makers, readers)


def run(context: metadata_store_pb2.Context, of: Graph) -> Run:
    """Returns the run of a context, with its executions from the graph."""
    executions = [each for each in of.executions.values() if each.run == context.id]
    return Run(
        context.id, context.name, context.create_time_since_epoch / 1000, facts(context), executions, of.artifacts
    )


def _add_event(event: metadata_store_pb2.Event, channels: dict[int, tuple[dict, dict]], artifacts: dict) -> None:
    if event.execution_id not in channels or event.artifact_id not in artifacts:  # deleted meanwhile
        return
    found = artifacts[event.artifact_id]
    if found.type == PUSHED_MODEL and is_placeholder(found.type, facts(found)):
        return
    inputs, outputs = channels[event.execution_id]
    side = inputs if event.type in INPUTS else outputs if event.type in OUTPUTS else None
    key = next((step.key for step in event.path.steps if step.HasField("key")), "")
    if side is not None and event.artifact_id not in side.setdefault(key, []):
        side[key].append(event.artifact_id)


def is_placeholder(artifact_type: str, facts: Facts) -> bool:
    """Returns whether this is the PushedModel that Pusher writes for a model that it does not push."""
    return artifact_type == PUSHED_MODEL and "pushed" in facts and not facts["pushed"]


def artifact(found: metadata_store_pb2.Artifact) -> Artifact:
    """Returns an artifact as plain values."""
    live = found.state == metadata_store_pb2.Artifact.LIVE
    return Artifact(found.id, found.type, found.uri, live, found.create_time_since_epoch / 1000, facts(found))


def _execution(
    found: metadata_store_pb2.Execution,
    node: metadata_store_pb2.Context | None,
    run: metadata_store_pb2.Context | None,
    inputs: dict[str, list[int]],
    outputs: dict[str, list[int]],
) -> Execution:
    pipeline, _, name = node.name.partition(".") if node else ("", "", "")
    state = _STATES.get(found.last_known_state, "running")
    if state in ("running", "failed") and run:
        state = _refine_state(facts(run), name, state)
    started, ended = found.create_time_since_epoch / 1000, found.last_update_time_since_epoch / 1000
    number = run.id if run else 0
    return Execution(
        found.id, number, pipeline, name, found.type, state, started, ended, _properties(found), inputs, outputs
    )


def _refine_state(run: Facts, node: str, state: str) -> str:
    """Returns 'interrupted' or 'stale' if the runner's record of the run shows this, else the state."""
    if state == "failed":
        return "interrupted" if interrupted_in(run) == node else state
    return "stale" if is_over(run) else state


def known(facts: Facts) -> Facts:
    """Returns the facts of an artifact or a run without those whose value is of another type than this project writes.

    >>> known({"accuracy": "high", "devices": "CPU", "mine": "high"})
    {'devices': 'CPU', 'mine': 'high'}
    """
    return {key: value for key, value in facts.items() if isinstance(value, _KINDS.get(key, object))}


def facts(found: Any) -> Facts:
    """Returns the properties of an artifact or a run's context as plain values; see `known`."""
    return known(_properties(found))


def _properties(found: Any) -> Facts:
    """Returns the properties and custom properties of a message as plain values."""
    values = [*found.properties.items(), *found.custom_properties.items()]
    return {key: _plain(getattr(value, str(value.WhichOneof("value")))) for key, value in values}


def _plain(value: Any) -> Any:
    # protobuf has no order of a map's keys
    return dict(sorted(json_format.MessageToDict(value).items())) if isinstance(value, Message) else value
