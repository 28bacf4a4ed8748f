"""What the commands read: `Source` is implemented for ML Metadata and for the APIs of clusters."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple, Protocol

from lineage.history import Artifact, Execution, Facts, Graph, Id, Run


class Head(NamedTuple):
    """A run that has not been read yet."""

    id: Id
    name: str


class Source(Protocol):
    """A place that has runs, their executions and artifacts. All methods may raise UserError."""

    def runs(self, limit: int | None = None, pipeline: str | None = None, state: str | None = None) -> Iterator[Run]:
        """Yields the runs, latest first.

        Args:
          limit: yields at most so many; None for all.
          pipeline: may omit runs of other pipelines.
          state: may omit runs in other states.
        """

    def find(self, name: str) -> list[Head]:
        """Returns the run with this id, or else the pipeline's latest run, or else the runs whose name starts so."""

    def read(self, head: Head) -> Run:
        """Returns a run that `find` or `runs` found."""

    def before(self, run: Run) -> Iterator[Run]:
        """Yields the earlier runs of the run's pipeline, latest first."""

    def artifact(self, name: str) -> Artifact | None:
        """Returns the artifact with this id; None if there is none, or if the name is not an id."""

    def artifacts_at(self, folders: Sequence[str]) -> list[Artifact]:
        """Returns the artifacts that were pushed to or stored in the first of these folders or URIs that has any."""

    def maker_of(self, cached: Execution) -> Execution | None:
        """Returns the execution that made the outputs that `cached` reused; None if it is unknown."""

    def trace(self, artifact: Id, forward: bool) -> Graph:
        """Returns the executions that led to an artifact, or with `forward` those that used it, also indirectly."""

    def facts_of_runs(self, runs: Collection[Id]) -> dict[Id, Facts]:
        """Returns the record of each run, by the run's id; unknown runs are omitted."""

    def models(self) -> tuple[list[Artifact], Graph]:
        """Returns all trained models, and the executions that made or used them with their other artifacts."""
