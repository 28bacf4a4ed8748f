"""Implements `Source` for an ML Metadata store."""

import re
from collections.abc import Collection, Iterator, Sequence

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2
from ml_metadata.proto.metadata_store_pb2 import Context

from errors import UserError
from lineage import history, reading
from lineage.history import (
    INFRA_BLESSING,
    MODEL_BLESSING,
    OUTPUTS,
    PUSHED_MODEL,
    Artifact,
    Execution,
    Facts,
    Graph,
    Id,
    Run,
)
from lineage.metadata import interrupted_in
from lineage.source import Head

_ID = re.compile(r"[1-9][0-9]{0,8}")


class MlmdSource:
    """Reads `store`; see `lineage.source`."""

    def __init__(self, store: mlmd.MetadataStore):
        self.store = store

    def runs(self, limit: int | None = None, pipeline: str | None = None, state: str | None = None) -> Iterator[Run]:
        return reading.read_runs(self.store, self._candidates(pipeline, state)[:limit])

    def find(self, name: str) -> list[Head]:
        known = reading.run_contexts(self.store)
        if name == "latest":
            found = known[:1]
        else:
            found = [each for each in known if _ID.fullmatch(name) and each.id == int(name)]
            found = found or [each for each in known if reading.pipeline_of(each) == name][:1]
            found = found or [each for each in known if each.name.startswith(name)]
        return [Head(each.id, each.name) for each in found]

    def read(self, head: Head) -> Run:
        return next(reading.read_runs(self.store, self.store.get_contexts_by_id([head.id])))

    def before(self, run: Run) -> Iterator[Run]:
        return reading.previous_runs(self.store, run)

    def artifact(self, name: str) -> Artifact | None:
        found = self.store.get_artifacts_by_id([int(name)]) if _ID.fullmatch(name) else []
        return history.artifact(found[0]) if found else None

    def artifacts_at(self, folders: Sequence[str]) -> list[Artifact]:
        pushed = self.store.get_artifacts_by_type(PUSHED_MODEL)
        for folder in folders:
            here = [each for each in pushed if each.custom_properties["pushed_destination"].string_value == folder]
            if found := here or self.store.get_artifacts_by_uri(folder):
                return [history.artifact(each) for each in found]
        return []

    def maker_of(self, cached: Execution) -> Execution | None:
        return reading.maker_of(self.store, cached)

    def trace(self, artifact: Id, forward: bool) -> Graph:
        return reading.trace(self.store, artifact, forward)

    def facts_of_runs(self, runs: Collection[Id]) -> dict[Id, Facts]:
        return reading.facts_of_runs(self.store, runs)

    def models(self) -> tuple[list[Artifact], Graph]:
        models = [history.artifact(each) for each in self.store.get_artifacts_by_type("Model")]
        events = reading.events_of(self.store, [each.id for each in models])
        return models, reading.graph_of(self.store, {event.execution_id for event in events})

    def output(self, node: str, channel: str, execution: int) -> Artifact:
        """Returns the artifact whose folder ends with NODE/CHANNEL/EXECUTION.

        Raises:
          UserError: when the execution did not write such an artifact.
        """
        ending = f"/{node}/{channel}/{execution}"
        events = self.store.get_events_by_execution_ids([execution]) if _ID.fullmatch(str(execution)) else []
        ids = [event.artifact_id for event in events if event.type in OUTPUTS]
        found = [each for each in self.store.get_artifacts_by_id(ids) if each.uri.endswith(ending)] if ids else []
        if not found:
            raise UserError(f"there is no artifact whose folder ends with {ending} in this store")
        return history.artifact(found[0])

    def _candidates(self, pipeline: str | None, state: str | None) -> list[Context]:
        """Returns the contexts of the runs that may match, latest first, without reading these runs."""
        contexts = reading.run_contexts(self.store)
        if pipeline:
            contexts = [each for each in contexts if reading.pipeline_of(each) in ("", pipeline)]
        if state == "refused":
            blessings = [
                each for kind in (MODEL_BLESSING, INFRA_BLESSING) for each in self.store.get_artifacts_by_type(kind)
            ]
            unblessed = [each.id for each in blessings if _is_refusal(each)]
            events = reading.events_of(self.store, unblessed)
            executions = {event.execution_id for event in events if event.type in OUTPUTS}
            ids = {each.id for each in reading.run_contexts_of(self.store, executions).values()}
            return [each for each in contexts if each.id in ids]
        return [each for each in contexts if _may_have_state(each, state)]


def _is_refusal(blessing: metadata_store_pb2.Artifact) -> bool:
    return "blessed" in blessing.custom_properties and not blessing.custom_properties["blessed"].int_value


def _may_have_state(context: Context, state: str | None) -> bool:
    """Returns whether the runner's record allows the state; without a record (other runners), any state is possible."""
    recorded = history.facts(context)
    if state is None or "process" not in recorded:
        return True
    if state in ("running", "stale"):
        return "ended" not in recorded
    if state == "interrupted":
        return interrupted_in(recorded) is not None
    return state != "failed" or "failed" in recorded or "ended" not in recorded
