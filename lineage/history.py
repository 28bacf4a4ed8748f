"""What the store holds, as plain values: runs, the executions of their nodes, and the artifacts between them."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import ml_metadata as mlmd
from google.protobuf import json_format
from google.protobuf.message import Message
from ml_metadata.proto import metadata_store_pb2

from pipeline.metadata import RUN_CONTEXT, is_alive

_NODE_CONTEXT = "node"  # named PIPELINE.NODE
_INPUTS = (metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.DECLARED_INPUT)
_OUTPUTS = (
    metadata_store_pb2.Event.OUTPUT,
    metadata_store_pb2.Event.DECLARED_OUTPUT,
    metadata_store_pb2.Event.INTERNAL_OUTPUT,  # what a resolver found
)
_STATES = {
    metadata_store_pb2.Execution.NEW: "running",
    metadata_store_pb2.Execution.RUNNING: "running",
    metadata_store_pb2.Execution.COMPLETE: "complete",
    metadata_store_pb2.Execution.CACHED: "cached",
    metadata_store_pb2.Execution.FAILED: "failed",
    metadata_store_pb2.Execution.CANCELED: "failed",
}
_AT_ONCE = 20  # runs that are read ahead
_STARTS = 100  # ML Metadata begins a query at no more nodes than this, and leaves the others out without a word
MAX_HOPS = 100  # the most that ML Metadata follows: fifty executions, one after the other

Query = metadata_store_pb2.LineageSubgraphQueryOptions
Facts = dict[str, Any]  # as JSON has values


class Artifact(NamedTuple):
    """An artifact; `live` is false for one that was deleted, or never finished."""

    id: int
    type: str
    uri: str
    live: bool
    created: float
    facts: Facts


class Execution(NamedTuple):
    """A node in one run. `inputs` and `outputs` are ids of artifacts by channel; times are seconds since the epoch."""

    id: int
    run: int
    pipeline: str
    node: str
    type: str
    state: str
    started: float
    ended: float
    facts: Facts
    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]

    @property
    def makes(self) -> bool:
        """Whether it made its outputs: it did not find them, as a resolver does, or take them from the cache."""
        return self.state != "cached" and not self.is_resolver

    @property
    def is_resolver(self) -> bool:
        """Whether it only asked the store."""
        return self.type.endswith(".Resolver")


class Graph(NamedTuple):
    """Executions and artifacts, each by id, in the order of the store, and who made and read the artifacts.

    `makers` and `readers` are by artifact, without executions that took it from the cache, or resolved it.
    """

    executions: dict[int, Execution]
    artifacts: dict[int, Artifact]
    makers: dict[int, Execution]
    readers: dict[int, list[Execution]]


class Run(NamedTuple):
    """A run: its id, TFX's name of it (its start), what the runner wrote down, and its nodes in order."""

    id: int
    name: str
    started: float
    facts: Facts
    executions: list[Execution]
    artifacts: dict[int, Artifact]

    @property
    def pipeline(self) -> str:
        """The pipeline's name, which is the preset's or the settings file's."""
        return self.executions[0].pipeline if self.executions else self.facts.get("pipeline", "")

    def node(self, name: str) -> Execution | None:
        """Returns the execution of a node, if it came to it."""
        return next((each for each in self.executions if each.node.lower() == name.lower()), None)

    def output(self, node: str, channel: str) -> Artifact | None:
        """Returns the first artifact of a node's output channel, if there is one."""
        execution = self.node(node)
        ids = execution.outputs.get(channel, []) if execution else []
        return self.artifacts[ids[0]] if ids else None


def contexts(store: mlmd.MetadataStore) -> list[metadata_store_pb2.Context]:
    """Returns the contexts of all runs, the latest first."""
    return sorted(store.get_contexts_by_type(RUN_CONTEXT), key=lambda each: each.id, reverse=True)


def runs(store: mlmd.MetadataStore, of: Sequence[metadata_store_pb2.Context]) -> Iterator[Run]:
    """Yields runs in the order of their contexts, reading some at once."""
    for start in range(0, len(of), _AT_ONCE):
        some = of[start : start + _AT_ONCE]
        ids = ", ".join(str(each.id) for each in some)
        theirs = mlmd.ListOptions(filter_query=f"contexts_a.id IN ({ids})")
        graph = around(store, [each.id for each in store.get_executions(list_options=theirs)])
        for context in some:
            yield _run(context, graph)


def around(store: mlmd.MetadataStore, executions: Sequence[int]) -> Graph:
    """Returns executions with what they read and wrote."""
    return _all(store, "starting_executions", executions, 1)


def around_artifacts(store: mlmd.MetadataStore, artifacts: Sequence[int], hops: int) -> Graph:
    """Returns artifacts with what is so many steps away: 1 for the executions beside them, 2 for what those touched."""
    return _all(store, "starting_artifacts", artifacts, hops)


def _all(store: mlmd.MetadataStore, starts: str, ids: Sequence[int], hops: int) -> Graph:
    found = metadata_store_pb2.LineageGraph()
    for start in range(0, len(ids), _STARTS):
        query = Query(max_num_hops=hops, direction=Query.BIDIRECTIONAL)
        getattr(query, starts).filter_query = f"id IN ({', '.join(map(str, ids[start : start + _STARTS]))})"
        found.MergeFrom(store.get_lineage_subgraph(query))
    return _graph(found)


def subgraph(store: mlmd.MetadataStore, query: metadata_store_pb2.LineageSubgraphQueryOptions) -> Graph:
    """Returns what a query finds that begins at no more than a few nodes."""
    try:
        return _graph(store.get_lineage_subgraph(query))
    except mlmd.errors.NotFoundError:  # nothing to start from
        return _graph(metadata_store_pb2.LineageGraph())


def _graph(found: metadata_store_pb2.LineageGraph) -> Graph:
    """Returns the same as plain values; what parts of it say twice counts once."""
    kinds = {kind.id: kind.name for kind in found.artifact_types}
    artifacts = {each.id: _artifact(each, kinds) for each in sorted(found.artifacts, key=lambda each: each.id)}
    named = {each.id: (each.type, each.name) for each in found.contexts}
    places: dict[int, dict[str, Any]] = {}
    left = {each.id for each in found.contexts if each.type == RUN_CONTEXT and _is_over(_facts(each))}
    for association in found.associations:
        kind, name = named.get(association.context_id, ("", ""))
        if kind == RUN_CONTEXT:
            places.setdefault(association.execution_id, {})["run"] = association.context_id
        elif kind == _NODE_CONTEXT:
            places.setdefault(association.execution_id, {})["node"] = name
    channels: dict[int, tuple[dict, dict]] = {each.id: ({}, {}) for each in found.executions}
    for event in found.events:
        _note(event, channels, artifacts)
    ordered = sorted(found.executions, key=lambda each: each.id)
    types = {kind.id: kind.name for kind in found.execution_types}
    executions = {
        each.id: _execution(each, types[each.type_id], places.get(each.id, {}), *channels[each.id]) for each in ordered
    }
    for number, each in executions.items():
        if each.state == "running" and each.run in left:
            executions[number] = each._replace(state="stale")
    makers: dict[int, Execution] = {}
    readers: dict[int, list[Execution]] = {}
    for execution in (each for each in executions.values() if each.makes):
        for number in (number for ids in execution.outputs.values() for number in ids):
            makers.setdefault(number, execution)
        for number in {number for ids in execution.inputs.values() for number in ids}:
            readers.setdefault(number, []).append(execution)
    return Graph(executions, artifacts, makers, readers)


def _run(context: metadata_store_pb2.Context, graph: Graph) -> Run:
    executions = [each for each in graph.executions.values() if each.run == context.id]
    started = context.create_time_since_epoch / 1000
    return Run(context.id, context.name, started, _facts(context), executions, graph.artifacts)


def _is_over(facts: Facts) -> bool:
    return "ended" in facts or ("process" in facts and is_alive(facts["process"]) is False)


def _note(event: metadata_store_pb2.Event, channels: dict[int, tuple[dict, dict]], artifacts: dict) -> None:
    if event.execution_id not in channels or event.artifact_id not in artifacts:
        return
    inputs, outputs = channels[event.execution_id]
    side = inputs if event.type in _INPUTS else outputs if event.type in _OUTPUTS else None
    key = next((step.key for step in event.path.steps if step.HasField("key")), "")
    if side is not None and event.artifact_id not in side.setdefault(key, []):
        side[key].append(event.artifact_id)


def _artifact(found: metadata_store_pb2.Artifact, kinds: dict[int, str]) -> Artifact:
    live = found.state == metadata_store_pb2.Artifact.LIVE
    kind = found.type or kinds.get(found.type_id, "")
    return Artifact(found.id, kind, found.uri, live, found.create_time_since_epoch / 1000, _facts(found))


def _execution(
    found: metadata_store_pb2.Execution, kind: str, place: dict[str, Any], inputs: dict, outputs: dict
) -> Execution:
    pipeline, _, node = place.get("node", "").partition(".")
    started, ended = found.create_time_since_epoch / 1000, found.last_update_time_since_epoch / 1000
    state, run = _STATES.get(found.last_known_state, "running"), place.get("run", 0)
    return Execution(found.id, run, pipeline, node, kind, state, started, ended, _facts(found), inputs, outputs)


def _facts(found: Any) -> Facts:
    """Returns properties and custom properties as plain values."""
    values = [*found.properties.items(), *found.custom_properties.items()]
    return {key: _plain(getattr(value, str(value.WhichOneof("value")))) for key, value in values}


def _plain(value: Any) -> Any:
    return json_format.MessageToDict(value) if isinstance(value, Message) else value
