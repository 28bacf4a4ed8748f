"""A run as an API has it, and how it becomes a `history.Run`."""

import datetime
import time
from typing import Any, NamedTuple

from pydantic import ConfigDict, validate_call

from lineage import history
from lineage.history import Artifact, Execution, Facts, Run
from lineage.metadata import BETWEEN_NODES
from lineage.remote import spec as specs
from lineage.remote.spec import Json

Channels = dict[str, list[Artifact]]
RUNNING, COMPLETE, CACHED, FAILED, INTERRUPTED = "running", "complete", "cached", "failed", "interrupted"
_STRICT = ConfigDict(strict=True)  # a number is no text
ARTIFACTS_UNKNOWN = "artifacts_unknown"  # a run's fact: why the API has no artifacts of it


class Task(NamedTuple):
    """A task that has started. Times are seconds since the epoch; None if unknown."""

    id: str
    name: str
    state: str
    started: float | None
    ended: float | None
    error: str
    inputs: Channels
    outputs: Channels


class Record(NamedTuple):
    """A run.

    Attributes:
      id: its id.
      name: its name.
      state: one of RUNNING, COMPLETE, FAILED and INTERRUPTED; '' if unknown.
      created: seconds since the epoch; None if unknown, as `finished`.
      error: the service's error, or ''.
      spec: the PipelineSpec; {} if unknown.
      values: the pipeline's parameters.
      tasks: the tasks that have started.
      artifacts_unknown: why `tasks` have no artifacts; '' if they have.
    """

    id: str
    name: str
    state: str
    created: float | None
    finished: float | None
    error: str
    spec: Json
    values: Json
    tasks: list[Task]
    artifacts_unknown: str = ""

    @property
    def pipeline(self) -> str:
        """The pipeline's name; '' if unknown."""
        return self.spec.get("pipelineInfo", {}).get("name", "")


def seconds(timestamp: str | None) -> float | None:
    """Returns a time of an API as seconds since the epoch; None for 'not yet': it is missing, or zero in Go or Unix.

    >>> seconds("2026-01-01T00:00:00.250Z"), seconds("1970-01-01T00:00:00Z"), seconds("0001-01-01T00:00:00Z")
    (1767225600.25, None, None)
    """
    if not timestamp:
        return None
    moment = datetime.datetime.fromisoformat(timestamp).timestamp()
    return moment if moment > 0 else None


def timestamp(moment: float) -> str:
    """Returns seconds since the epoch in the format of an API, with the fraction cut off."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@validate_call(config=_STRICT)
def checked(artifact: Artifact) -> Artifact:
    """Returns the artifact.

    Raises:
      pydantic.ValidationError: when a value has another type than its field.
    """
    return artifact


@validate_call(config=_STRICT, validate_return=True)
def to_run(record: Record) -> Run:
    """Returns the run with its executions in the order in which they started.

    Raises:
      pydantic.ValidationError: when a value of the record has another type than its field.
    """
    order = {name: index for index, name in enumerate(specs.tasks_of(record.spec))}
    tasks = sorted(record.tasks, key=lambda each: (each.started or 0, order.get(each.name, 0)))
    artifacts = [artifact for task in tasks for some in (task.inputs, task.outputs) for artifact in _all(some)]
    return Run(
        record.id,
        record.name,
        record.created,
        _facts(record),
        [_execution(record, each) for each in tasks],
        {each.id: each for each in artifacts},
    )


def _all(channels: Channels) -> list[Artifact]:
    return [artifact for some in channels.values() for artifact in some]


def _facts(record: Record) -> Facts:
    facts: Facts = dict(specs.facts_of_run(record.spec, record.values))
    facts["finished"] = record.finished
    if record.state == RUNNING:
        facts["state"] = RUNNING
    elif not record.state:
        facts |= {"state": "unknown", "error": record.error}
    if record.state == FAILED:
        failed = next((each for each in record.tasks if each.state == FAILED), None)
        facts |= {"failed": failed.name if failed else "", "error": (failed and failed.error) or record.error}
    if record.state == INTERRUPTED:
        stopped = next((each.name for each in record.tasks if each.state in (RUNNING, INTERRUPTED)), BETWEEN_NODES)
        facts["interrupted"] = stopped
    if record.artifacts_unknown:
        facts[ARTIFACTS_UNKNOWN] = record.artifacts_unknown
    return facts


def _execution(record: Record, task: Task) -> Execution:
    state, ended = task.state, task.ended
    if state == RUNNING and record.state == RUNNING:
        ended = time.time()
    elif state == RUNNING:
        state, ended = INTERRUPTED if record.state == INTERRUPTED else "stale", ended or record.finished
    return Execution(
        task.id,
        record.id,
        record.pipeline,
        task.name,
        specs.executor_class(record.spec, task.name),
        state,
        task.started,
        ended,
        specs.parameters(record.spec, task.name, record.values),
        _ids(task.inputs),
        _ids(task.outputs),
    )


def _ids(channels: Channels) -> dict[str, list[Any]]:
    kept = {
        key: [each.id for each in some if not history.is_placeholder(each.type, each.facts)]
        for key, some in channels.items()
    }
    return {key: ids for key, ids in kept.items() if ids}
