"""Reads runs, executions and artifacts from ML Metadata: one call for many ids, none with `filter_query`.

ML Metadata 1.21 raises UnimplementedError for `filter_query`, and has no call that returns the contexts of many
executions: `_contexts_of` takes the cheaper of two ways.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from lineage import history
from lineage.history import INPUTS, OUTPUTS, Execution, Graph, Run
from lineage.metadata import RUN_CONTEXT

_NODE_CONTEXT = "node"  # named PIPELINE.NODE
_FEW = 300  # executions whose contexts are read one by one (2 ms each); all nodes' executions take a second at 12,000
_MAX_STEPS = 50  # executions that a trace follows, one after the other

Executions = Iterable[metadata_store_pb2.Execution]
Contexts = dict[int, metadata_store_pb2.Context]


def contexts(store: mlmd.MetadataStore) -> list[metadata_store_pb2.Context]:
    """Returns the contexts of all runs, the latest first."""
    return sorted(store.get_contexts_by_type(RUN_CONTEXT), key=lambda each: each.id, reverse=True)


def runs(store: mlmd.MetadataStore, of: Sequence[metadata_store_pb2.Context], at_once: int = 20) -> Iterator[Run]:
    """Yields runs in the order of their contexts. Reads `at_once` first, and eight times as many each next time."""
    start = 0
    while start < len(of):
        some = {each.id: each for each in of[start : start + at_once]}
        found = [(each, context) for context in some.values() for each in store.get_executions_by_context(context.id)]
        graph = _graph(store, [each for each, _ in found], {each.id: context for each, context in found})
        for context in some.values():
            yield history.run(context, graph)
        start, at_once = start + at_once, at_once * 8


def earlier(store: mlmd.MetadataStore, run: Run) -> Iterator[Run]:
    """Yields the runs of the same pipeline before a run, the latest first."""
    before = [each for each in contexts(store) if each.id < run.id and pipeline_of(each) in ("", run.pipeline)]
    return (each for each in runs(store, before, at_once=1) if each.pipeline == run.pipeline)


def pipeline_of(context: metadata_store_pb2.Context) -> str:
    """Returns the pipeline's name as the runner wrote it into the run's context; "" for another runner's."""
    return context.custom_properties["pipeline"].string_value if "pipeline" in context.custom_properties else ""


def run_contexts(store: mlmd.MetadataStore, executions: Collection[int]) -> Contexts:
    """Returns the run's context of each execution."""
    return _contexts_of(store, executions, RUN_CONTEXT)


def everything(store: mlmd.MetadataStore) -> Graph:
    """Returns all executions and artifacts."""
    return _graph(store, store.get_executions(), artifacts=store.get_artifacts())


def touching(store: mlmd.MetadataStore, artifacts: Collection[int]) -> list[metadata_store_pb2.Event]:
    """Returns the events of some artifacts."""
    return list(store.get_events_by_artifact_ids(list(artifacts))) if artifacts else []


def around(store: mlmd.MetadataStore, executions: Collection[int]) -> Graph:
    """Returns executions with what they read and wrote."""
    return _graph(store, store.get_executions_by_id(sorted(executions)) if executions else [])


def maker_of(store: mlmd.MetadataStore, cached: Execution) -> Execution | None:
    """Returns the execution whose outputs a later one took from the cache."""
    number = next((each for ids in cached.outputs.values() for each in ids), None)
    if number is None:
        return None
    made = {event.execution_id for event in touching(store, [number]) if event.type in OUTPUTS}
    return around(store, made).makers.get(number)


def trace(store: mlmd.MetadataStore, artifact: int, forward: bool) -> Graph:
    """Returns an artifact with what it was made of, or what was made of it, at most 50 executions in a row.

    Executions that took outputs from the cache, and resolvers, are left out.
    """
    ahead, back = (INPUTS, OUTPUTS) if forward else (OUTPUTS, INPUTS)
    found: dict[int, metadata_store_pb2.Execution] = {}
    seen, last = {artifact}, {artifact}
    for _ in range(_MAX_STEPS):
        ids = {event.execution_id for event in touching(store, last) if event.type in ahead} - found.keys()
        if not ids:
            break
        new = {each.id: each for each in store.get_executions_by_id(sorted(ids)) if _makes(each)}
        found |= new
        events = store.get_events_by_execution_ids(sorted(new)) if new else []
        last = {event.artifact_id for event in events if event.type in back} - seen
        seen |= last
    return _graph(store, found.values(), artifacts=store.get_artifacts_by_id([artifact]))


def _makes(execution: metadata_store_pb2.Execution) -> bool:
    cached = execution.last_known_state == metadata_store_pb2.Execution.CACHED
    return not cached and not history.is_resolver(execution.type)


def _graph(
    store: mlmd.MetadataStore,
    executions: Executions,
    runs_of: Contexts | None = None,
    artifacts: Sequence[metadata_store_pb2.Artifact] = (),
) -> Graph:
    """Returns executions with their events' artifacts and their contexts; `artifacts` are those known already."""
    found = {each.id: each for each in executions}
    events = store.get_events_by_execution_ids(sorted(found)) if found else []
    known = {each.id: each for each in artifacts}
    missing = {event.artifact_id for event in events} - known.keys()
    if missing:
        known |= {each.id: each for each in store.get_artifacts_by_id(sorted(missing))}
    nodes = _contexts_of(store, found, _NODE_CONTEXT)
    return history.graph(found, known, events, nodes, runs_of or run_contexts(store, found))


def _contexts_of(store: mlmd.MetadataStore, executions: Collection[int], kind: str) -> Contexts:
    """Returns the context of a kind that each execution is in: a call an execution for few, else a call a context."""
    if len(executions) <= _FEW:
        pairs = ((number, context) for number in executions for context in store.get_contexts_by_execution(number))
        return {number: context for number, context in pairs if context.type == kind}
    return {
        execution.id: context
        for context in store.get_contexts_by_type(kind)
        for execution in store.get_executions_by_context(context.id)
    }
