"""Reads the API of Vertex AI: its pipeline jobs, whose tasks have the artifacts, and Vertex ML Metadata."""

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

import google.auth
import google.auth.exceptions
from google.auth.transport.requests import AuthorizedSession

from errors import UserError
from lineage import history
from lineage.history import PUSHED_MODEL, Artifact
from lineage.remote import calls, records, rest
from lineage.remote import spec as specs
from lineage.remote.calls import Fault
from lineage.remote.records import Channels, Record, Task, seconds
from lineage.remote.rest import Json, Rest
from lineage.remote.source import RemoteSource
from lineage.source import Head

_URL = "https://{region}-aiplatform.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_ADVICE = {
    0: "check the network, or try again later",
    401: "log in with 'gcloud auth application-default login', or name a key file in GOOGLE_APPLICATION_CREDENTIALS",
    403: "give the account the role 'Vertex AI Viewer' in the project, and enable the Vertex AI API",
    404: "check the project and the region in vertex://PROJECT/REGION",
    429: "wait, or ask for more quota",
}
_RUNS_A_PAGE, _ARTIFACTS_A_PAGE = 20, 100
_STATES = {
    "SUCCEEDED": records.COMPLETE,
    "FAILED": records.FAILED,
    "CANCELLED": records.INTERRUPTED,
    "SKIPPED": records.CACHED,  # "skipped due to cache hit", of a task
}
_NOT_STARTED = ("PENDING", "NOT_TRIGGERED")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def connect(address: str) -> RemoteSource:
    """Returns the pipeline jobs of vertex://PROJECT/REGION, read with Application Default Credentials.

    Raises:
      UserError: when the address is invalid, or there are no credentials.
    """
    found = re.fullmatch(r"vertex://([a-z][-a-z0-9:.]*)/([a-z]+-[a-z]+\d+)/?", address)
    if not found:
        raise UserError(
            "expected vertex://PROJECT/REGION with the project's id in lower case, for example "
            f"vertex://my-project/us-central1; not {address}"
        )
    project, region = found.groups()
    for name in ("google.auth", "urllib3"):  # they would warn that no project is configured, and of each retry
        logging.getLogger(name).setLevel(logging.ERROR)
    service = calls.Service("Vertex AI", _read_error, _ADVICE)
    with service.translate_errors(UserError):
        credentials, _ = google.auth.default(scopes=[_SCOPE])
    url = f"{_URL.format(region=region)}/v1/projects/{project}/locations/{region}"
    return RemoteSource(Vertex(Rest(service, url, AuthorizedSession(credentials))), service)


def _read_error(error: BaseException) -> Fault | None:
    if isinstance(error, google.auth.exceptions.TransportError):
        return Fault(0, "cannot reach the OAuth token server", maybe_processed=False)
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        return Fault(calls.NO_LOGIN, "found no usable credentials", maybe_processed=False)
    return rest.read_error(error)


class Vertex:
    """Implements `lineage.remote.source.Api`. A run's id is its pipelineJobId."""

    def __init__(self, rest: Rest):
        self._rest = rest
        self._known: dict[str, Record] = {}  # the runs that were read, by id

    def records(self, limit: int | None, pipeline: str | None, until: float | None) -> Iterator[Record]:
        wanted = [f"display_name={rest.text(pipeline)}"] if pipeline else []  # TFX uses the pipeline's name
        wanted += [f"create_time<={rest.text(records.timestamp(until))}"] if until is not None else []
        jobs = self._jobs(" AND ".join(wanted), min(limit or _RUNS_A_PAGE, _RUNS_A_PAGE))
        for job in jobs:  # a list has no details, so each job is requested
            if record := self.record(_last(job["name"])):
                yield record

    def find(self, name: str) -> list[Head]:
        latest = next(self._jobs(f"display_name={rest.text(name)}", 1), None)
        if latest:
            return [_head(latest)]
        return [_head(each) for each in self._jobs(f"pipeline_job_user_id:{rest.text(name + '*')}", _RUNS_A_PAGE)]

    def record(self, run: str) -> Record | None:
        if run not in self._known and _ID.fullmatch(run) and (job := self._rest.find("pipelineJobs", run)):
            self._known[run] = _record(job)
        return self._known.get(run)

    def artifact(self, name: str) -> Artifact | None:
        found = self._rest.find("metadataStores", "default", "artifacts", name) if _ID.fullmatch(name) else None
        return _artifact(found) if found else None

    def artifacts_at(self, folders: Sequence[str]) -> list[Artifact]:
        for folder in folders:
            place = rest.text(folder)
            pushed = f'schema_title="tfx.{PUSHED_MODEL}" AND metadata.pushed_destination.string_value={place}'
            for wanted in (pushed, f"uri={place}"):
                if found := [_artifact(each) for each in self._stored("artifacts", filter=wanted)]:
                    return found
        return []

    def runs_of(self, artifact: str) -> Iterator[Record]:
        path = ("metadataStores", "default", "artifacts", f"{artifact}:queryArtifactLineageSubgraph")
        executions = self._rest.get(*path, maxHops=1).get("executions", [])
        found = filter(None, map(self._run_of, executions))
        yield from {each.id: each for each in found}.values()

    def check_artifacts(self) -> None:
        """Does nothing, because Vertex AI always has artifacts."""

    def _run_of(self, execution: Json) -> Record | None:
        """Returns the run of an execution.

        An execution does not name its run. It was created while its run was in progress, so only these are requested.
        """
        number, moment = _last(execution["name"]), rest.text(execution["createTime"])
        for record in self._known.values():
            if any(task.id == number for task in record.tasks):
                return record
        running = 'state="PIPELINE_STATE_RUNNING"'
        for wanted in (f"create_time<={moment} AND end_time>={moment}", f"create_time<={moment} AND {running}"):
            for job in self._jobs(wanted, _RUNS_A_PAGE):
                found = self.record(_last(job["name"]))
                if found and any(task.id == number for task in found.tasks):
                    return found
        return None

    def _jobs(self, wanted: str, size: int) -> Iterator[Json]:
        return self._pages(("pipelineJobs",), size, filter=wanted, orderBy="create_time desc")

    def _stored(self, kind: str, **query: Any) -> Iterator[Json]:
        return self._pages(("metadataStores", "default", kind), _ARTIFACTS_A_PAGE, **query)

    def _pages(self, path: tuple[str, ...], size: int, **query: Any) -> Iterator[Json]:
        return self._rest.pages(*path, items=path[-1], following="nextPageToken", pageSize=size, **query)


def _record(job: Json) -> Record:
    spec, runtime = job.get("pipelineSpec", {}), job.get("runtimeConfig", {})
    values = {name: specs.plain(value) for name, value in runtime.get("parameters", {}).items()}  # schema 2.0
    state = job.get("state", "").removeprefix("PIPELINE_STATE_")
    details = job.get("jobDetail", {}).get("taskDetails", [])
    name = _last(job["name"])
    return Record(
        name,
        name,
        _STATES.get(state, records.RUNNING if state else ""),
        seconds(job.get("createTime")),
        seconds(job.get("endTime")),
        job.get("error", {}).get("message", ""),
        spec,
        specs.defaults(spec) | values | runtime.get("parameterValues", {}),
        [_task(each) for each in details if _is_node(each, spec)],
    )


def _is_node(task: Json, spec: Json) -> bool:
    """Returns whether a task is a node of the pipeline that has started; the list also has the pipeline itself."""
    return task.get("taskName") in specs.tasks_of(spec) and task.get("state") not in _NOT_STARTED


def _task(task: Json) -> Task:
    execution = task.get("execution", {})
    cached = execution.get("state") == "CACHED"
    return Task(
        _last(execution.get("name", "")) or str(task.get("taskId")),
        task["taskName"],
        records.CACHED if cached else _STATES.get(task.get("state", ""), records.RUNNING),
        seconds(task.get("startTime") or task.get("createTime")),
        seconds(task.get("endTime")),
        task.get("error", {}).get("message", ""),
        _channels(task.get("inputs", {})),
        _channels(task.get("outputs", {})),
    )


def _channels(side: Json) -> Channels:
    return {key: [_artifact(one) for one in each.get("artifacts", [])] for key, each in side.items()}


def _artifact(found: Json) -> Artifact:
    state = found.get("state")
    return Artifact(
        _last(found["name"]),
        specs.type_name(found.get("schemaTitle", "")),
        found.get("uri", ""),
        None if state in (None, "STATE_UNSPECIFIED") else state == "LIVE",
        seconds(found.get("createTime")) or 0.0,
        history.known(found.get("metadata", {})),
    )


def _head(job: Json) -> Head:
    return Head(_last(job["name"]), _last(job["name"]))


def _last(name: str) -> str:
    return name.rpartition("/")[2]
