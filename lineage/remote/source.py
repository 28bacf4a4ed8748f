"""Implements `Source` for the API of a cluster, given what the API answers."""

from collections.abc import Collection, Iterator, Sequence
from itertools import dropwhile, islice
from typing import Protocol

from errors import UserError
from lineage import history
from lineage.history import Artifact, Execution, Facts, Graph, Id, Run
from lineage.remote import calls
from lineage.remote.records import Record, checked, to_run
from lineage.source import Head

_MAX_STEPS = 50  # length of the longest chain of executions that `trace` follows
COPIES = "components.baseline.LatestPushedModel_Executor"  # its output `model` is a copy of an earlier model


class Api(Protocol):
    """What a service answers. All methods may raise UserError."""

    def records(self, limit: int | None, pipeline: str | None, until: float | None) -> Iterator[Record]:
        """Yields the runs, latest first, with their tasks.

        Args:
          limit: at most so many are used.
          pipeline: may omit runs of other pipelines.
          until: omits runs that were created later, in seconds since the epoch.
        """

    def find(self, name: str) -> list[Head]:
        """Returns the runs that `Source.find` returns, for a name that is neither 'latest' nor an id."""

    def record(self, run: str) -> Record | None:
        """Returns the run with this id and its tasks; None if there is none, or if it is not an id."""

    def artifact(self, name: str) -> Artifact | None:
        """Returns the artifact with this id; None if there is none, or if it is not an id."""

    def artifacts_at(self, folders: Sequence[str]) -> list[Artifact]:
        """Returns the artifacts that `Source.artifacts_at` returns."""

    def runs_of(self, artifact: str) -> Iterator[Record]:
        """Yields the runs whose tasks made, reused or used the artifact."""

    def check_artifacts(self) -> None:
        """Raises UserError if the API has no artifacts."""


class RemoteSource:
    """Reads from `api`, which requests from `service`; see `lineage.source`. Each run is requested once."""

    def __init__(self, api: Api, service: calls.Service):
        self._api, self._service = api, service
        self._runs: dict[Id, Run] = {}

    def runs(self, limit: int | None = None, pipeline: str | None = None, state: str | None = None) -> Iterator[Run]:
        return islice(self._records(limit, pipeline, None), limit)

    def find(self, name: str) -> list[Head]:
        if name == "latest":
            return [Head(each.id, each.name) for each in self.runs(limit=1)]
        run = self._run(name)
        if run:
            return [Head(run.id, run.name)]
        with self._service.known_form():
            return self._api.find(name)

    def read(self, head: Head) -> Run:
        run = self._run(head.id)
        if run is None:
            raise UserError(f"run {head.id} was deleted meanwhile; choose another run")
        return run

    def before(self, run: Run) -> Iterator[Run]:
        until = None if run.started is None else run.started + 1  # Kubeflow compares whole seconds
        found = self._records(None, run.pipeline, until)
        earlier = islice(dropwhile(lambda each: each.id != run.id, found), 1, None)
        return (each for each in earlier if each.pipeline == run.pipeline)

    def artifact(self, name: str) -> Artifact | None:
        with self._service.known_form():
            self._api.check_artifacts()
            found = self._api.artifact(name)
            return found and checked(found)

    def artifacts_at(self, folders: Sequence[str]) -> list[Artifact]:
        with self._service.known_form():
            return [checked(each) for each in self._api.artifacts_at(folders)]

    def maker_of(self, cached: Execution) -> Execution | None:
        number = next((each for ids in cached.outputs.values() for each in ids), None)
        return None if number is None else self._graph_around(number).makers.get(number)

    def trace(self, artifact: Id, forward: bool) -> Graph:
        executions: dict[Id, Execution] = {}
        artifacts: dict[Id, Artifact] = {}
        frontier = {artifact}
        for _ in range(_MAX_STEPS):
            found: dict[Id, Execution] = {}
            for number in frontier:
                around = self._graph_around(number)
                artifacts |= around.artifacts
                some = around.readers.get(number, []) if forward else filter(None, [around.makers.get(number)])
                found |= {each.id: each for each in some}
            new = {number: each for number, each in found.items() if number not in executions}
            executions |= new
            sides = [each.outputs if forward else each.inputs for each in new.values()]
            frontier = {number for side in sides for ids in side.values() for number in ids}
            if not frontier:
                break
        if artifact not in artifacts and (alone := self.artifact(artifact)):  # no task made or used it
            artifacts[artifact] = alone
        return history.link(dict(sorted(executions.items(), key=lambda item: item[1].started or 0)), artifacts)

    def facts_of_runs(self, runs: Collection[Id]) -> dict[Id, Facts]:
        found = map(self._run, runs)
        return {run.id: run.facts for run in found if run}

    def models(self) -> tuple[list[Artifact], Graph]:
        with self._service.known_form():
            self._api.check_artifacts()
        executions: dict[Id, Execution] = {}
        artifacts: dict[Id, Artifact] = {}
        for run in self._records(None, None, None):
            executions |= {each.id: each for each in run.executions}
            artifacts |= run.artifacts
        copies = {number for each in executions.values() if each.type == COPIES for number in _outputs(each)}
        models = [each for each in artifacts.values() if each.type == "Model" and each.id not in copies]
        return models, history.link(dict(reversed(executions.items())), artifacts)

    def _run(self, number: Id) -> Run | None:
        with self._service.known_form():
            if number not in self._runs and (record := self._api.record(str(number))):
                self._kept(record)
        return self._runs.get(number)

    def _records(self, limit: int | None, pipeline: str | None, until: float | None) -> Iterator[Run]:
        with self._service.known_form():
            for record in self._api.records(limit, pipeline, until):
                yield self._kept(record)

    def _kept(self, record: Record) -> Run:
        return self._runs.setdefault(record.id, to_run(record))

    def _graph_around(self, artifact: Id) -> Graph:
        """Returns the executions of all runs that made or used an artifact, oldest first."""
        with self._service.known_form():
            runs = sorted(map(self._kept, self._api.runs_of(artifact)), key=lambda each: each.started or 0)
        executions = {each.id: each for run in runs for each in run.executions}
        return history.link(executions, {number: each for run in runs for number, each in run.artifacts.items()})


def _outputs(execution: Execution) -> list[Id]:
    return [number for ids in execution.outputs.values() for number in ids]
