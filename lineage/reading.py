"""Reads runs, executions and artifacts from ML Metadata, with many ids in one call.

`filter_query` is not used, because ML Metadata 1.21 raises UnimplementedError for it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from lineage import history
from lineage.history import INPUTS, OUTPUTS, Execution, Facts, Graph, Run
from lineage.metadata import RUN_CONTEXT

_NODE_CONTEXT = "node"  # named PIPELINE.NODE
_FEW = 300  # up to this many executions, one call each (2 ms); more: all contexts are read (a second for 12,000)
_MAX_STEPS = 50  # length of the longest chain of executions that `trace` follows

Executions = Iterable[metadata_store_pb2.Execution]
Contexts = dict[int, metadata_store_pb2.Context]


def run_contexts(store: mlmd.MetadataStore) -> list[metadata_store_pb2.Context]:
    """Returns the contexts of all runs, latest first."""
    return sorted(store.get_contexts_by_type(RUN_CONTEXT), key=lambda each: each.id, reverse=True)


def read_runs(
    store: mlmd.MetadataStore, contexts: Sequence[metadata_store_pb2.Context], batch: int = 20
) -> Iterator[Run]:
    """Yields the runs of the contexts, in their order. Each batch is eight times as large as the previous batch."""
    start = 0
    while start < len(contexts):
        some = {each.id: each for each in contexts[start : start + batch]}
        found = [(each, context) for context in some.values() for each in store.get_executions_by_context(context.id)]
        graph = _graph(store, [each for each, _ in found], {each.id: context for each, context in found})
        for context in some.values():
            yield history.run(context, graph)
        start, batch = start + batch, batch * 8


def previous_runs(store: mlmd.MetadataStore, run: Run) -> Iterator[Run]:
    """Yields the earlier runs of the run's pipeline, latest first."""
    before = [each for each in run_contexts(store) if each.id < run.id and pipeline_of(each) in ("", run.pipeline)]
    return (each for each in read_runs(store, before, batch=1) if each.pipeline == run.pipeline)


def pipeline_of(context: metadata_store_pb2.Context) -> str:
    """Returns the pipeline's name that the runner stored in the run's context; "" for other runners."""
    return context.custom_properties["pipeline"].string_value if "pipeline" in context.custom_properties else ""


def run_contexts_of(store: mlmd.MetadataStore, executions: Collection[int]) -> Contexts:
    """Returns the run context of each execution."""
    return _contexts_of(store, executions, RUN_CONTEXT)


def facts_of_runs(store: mlmd.MetadataStore, runs: Collection[int]) -> dict[int, Facts]:
    """Returns the runner's record of each run, by the run's id; a run that the store does not have is omitted."""
    contexts = store.get_contexts_by_id(sorted(runs)) if runs else []
    return {each.id: history.facts(each) for each in contexts}


def read_all(store: mlmd.MetadataStore) -> Graph:
    """Returns all executions and artifacts."""
    return _graph(store, store.get_executions(), artifacts=store.get_artifacts())


def events_of(store: mlmd.MetadataStore, artifacts: Collection[int]) -> list[metadata_store_pb2.Event]:
    """Returns the events of the artifacts."""
    return list(store.get_events_by_artifact_ids(list(artifacts))) if artifacts else []


def graph_of(store: mlmd.MetadataStore, executions: Collection[int]) -> Graph:
    """Returns the executions with their inputs and outputs."""
    return _graph(store, store.get_executions_by_id(sorted(executions)) if executions else [])


def maker_of(store: mlmd.MetadataStore, cached: Execution) -> Execution | None:
    """Returns the execution that made the outputs that `cached` reused, or None."""
    number = next((each for ids in cached.outputs.values() for each in ids), None)
    if number is None:
        return None
    made = {event.execution_id for event in events_of(store, [number]) if event.type in OUTPUTS}
    return graph_of(store, made).makers.get(number)


def trace(store: mlmd.MetadataStore, artifact: int, forward: bool) -> Graph:
    """Returns the executions that led to an artifact, or with `forward` those that used it, directly or indirectly.

    Resolvers and cached executions are omitted. A chain of executions ends after 50.
    """
    first, second = (INPUTS, OUTPUTS) if forward else (OUTPUTS, INPUTS)
    found: dict[int, metadata_store_pb2.Execution] = {}
    seen, last = {artifact}, {artifact}
    for _ in range(_MAX_STEPS):
        ids = {event.execution_id for event in events_of(store, last) if event.type in first} - found.keys()
        if not ids:
            break
        new = {each.id: each for each in store.get_executions_by_id(sorted(ids)) if _is_maker(each)}
        found |= new
        events = store.get_events_by_execution_ids(sorted(new)) if new else []
        last = {event.artifact_id for event in events if event.type in second} - seen
        seen |= last
    return _graph(store, found.values(), artifacts=store.get_artifacts_by_id([artifact]))


def _is_maker(execution: metadata_store_pb2.Execution) -> bool:
    cached = execution.last_known_state == metadata_store_pb2.Execution.CACHED
    return not cached and not history.is_resolver(execution.type)


def _graph(
    store: mlmd.MetadataStore,
    executions: Executions,
    runs_of: Contexts | None = None,
    artifacts: Sequence[metadata_store_pb2.Artifact] = (),
) -> Graph:
    """Returns a graph of the executions and their artifacts; reads only what `runs_of` and `artifacts` lack."""
    found = {each.id: each for each in executions}
    events = store.get_events_by_execution_ids(sorted(found)) if found else []
    known = {each.id: each for each in artifacts}
    missing = {event.artifact_id for event in events} - known.keys()
    if missing:
        known |= {each.id: each for each in store.get_artifacts_by_id(sorted(missing))}
    nodes = _contexts_of(store, found, _NODE_CONTEXT)
    return history.graph(found, known, events, nodes, runs_of or run_contexts_of(store, found))


def _contexts_of(store: mlmd.MetadataStore, executions: Collection[int], kind: str) -> Contexts:
    """Returns each execution's context of this type: one call per execution for few executions, else one per context.

    ML Metadata has no call that returns the contexts of many executions.
    """
    if len(executions) <= _FEW:
        pairs = ((number, context) for number in executions for context in store.get_contexts_by_execution(number))
        return {number: context for number, context in pairs if context.type == kind}
    return {
        execution.id: context
        for context in store.get_contexts_by_type(kind)
        for execution in store.get_executions_by_context(context.id)
    }
