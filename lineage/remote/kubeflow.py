"""Reads the API of Kubeflow Pipelines (v2beta1).

The tasks' artifacts are in the API that replaces ML Metadata (kubeflow/pipelines#11760), which no release up to 2.17
has. Older versions list only the tasks' names, states and times.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from errors import UserError
from lineage import history
from lineage.history import PUSHED_MODEL, Artifact
from lineage.remote import calls, records, rest, token
from lineage.remote import spec as specs
from lineage.remote.records import Channels, Record, Task, seconds
from lineage.remote.rest import Json, Rest
from lineage.remote.source import RemoteSource
from lineage.source import Head

_TITLE = "_kfp_schema_title"  # metadata of an artifact: its type, unless it is one of Kubeflow's own
_NO_ARTIFACTS = "this version of Kubeflow Pipelines has no API for artifacts"
_ADVICE = {
    **dict.fromkeys(rest.NOT_AN_API, token.ADVICE),
    0: "check the address and the network, or try again later",
    400: "for Kubeflow with several users, end the address with ?namespace=NAME",
    401: f"name a file with a valid token in {token.VARIABLE}",
    403: "allow the account to list and read runs",
    404: "check the address: expected the part of the UI's address before '/#/'",
}
_STATES = {
    "SUCCEEDED": records.COMPLETE,
    "CACHED": records.CACHED,
    "FAILED": records.FAILED,
    "CANCELED": records.INTERRUPTED,
    "SKIPPED": "skipped",
}
_TASKS = ("RUNTIME", "IMPORTER")  # the types of tasks that are not groups of others
_EQUALS, _AT_MOST, _CONTAINS = 1, 7, 9  # filter.proto, Predicate.Operation
_RUNS_A_PAGE, _ARTIFACTS_A_PAGE = 50, 200  # a run has its whole pipeline, about 100 kB
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def connect(address: str) -> RemoteSource:
    """Returns the runs of a Kubeflow Pipelines API.

    Args:
      address: http:// or https://, host and port, and a path if the UI has one; ?namespace=NAME for several users.

    Raises:
      UserError: when the address is invalid.
    """
    try:
        url = urlsplit(address)
        url.port  # noqa: B018 (raises ValueError)
        query = parse_qs(url.query, strict_parsing=True) if url.query else {}
    except ValueError:
        raise _address_error(address) from None
    if not url.hostname or url.username or url.fragment or query.keys() - {"namespace"}:
        raise _address_error(address)
    base = f"{url.scheme}://{url.netloc}{url.path.rstrip('/')}/apis/v2beta1"
    service = calls.Service("Kubeflow Pipelines", rest.read_error, _ADVICE)
    api = Kubeflow(Rest(service, base, requests.Session(), _authorize), query.get("namespace", [""])[0])
    return RemoteSource(api, service)


def _address_error(address: str) -> UserError:
    received = address.rpartition("@")[2]  # omits a password
    return UserError(f"expected http://HOST[:PORT][/PATH][?namespace=NAME] without a password, received {received}")


def _authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
    if found := token.read():
        request.headers["Authorization"] = f"Bearer {found}"
    return request


class Kubeflow:
    """Implements `lineage.remote.source.Api`."""

    def __init__(self, rest: Rest, namespace: str):
        self._rest, self._namespace = rest, namespace
        self._versions: dict[str, Json] = {}

    def records(self, limit: int | None, pipeline: str | None, until: float | None) -> Iterator[Record]:
        size = min(limit or _RUNS_A_PAGE, _RUNS_A_PAGE)
        return map(self._record, self._list(size, [_created_until(until)] if until is not None else (), view="FULL"))

    def find(self, name: str) -> list[Head]:
        listed = map(self._record, self._list(_RUNS_A_PAGE, [_predicate(_CONTAINS, "display_name", name)]))
        starting = [each for each in listed if each.name.startswith(name)]
        if starting and all(each.pipeline != name for each in starting):
            return [Head(each.id, each.name) for each in starting]
        runs = map(self._record, self._list(_RUNS_A_PAGE))  # a run may have any name, so the pipeline is read
        latest = next((each for each in runs if each.pipeline == name), None)
        return [Head(latest.id, latest.name)] if latest else []

    def record(self, run: str) -> Record | None:
        found = self._rest.find("runs", run, view="FULL") if _ID.fullmatch(run) else None
        return self._record(found) if found else None

    def artifact(self, name: str) -> Artifact | None:
        found = self._rest.find("artifacts", name) if _ID.fullmatch(name) else None
        return _artifact(found) if found else None

    def artifacts_at(self, folders: Sequence[str]) -> list[Artifact]:
        for folder in folders:
            if found := list(self._artifacts(filter=_filter([_predicate(_EQUALS, "uri", folder)]))):
                return found
        pushed = (each for each in self._artifacts(sort_by="created_at desc") if _pushed_to(each) in folders)
        return [found for found in [next(pushed, None)] if found]

    def runs_of(self, artifact: str) -> Iterator[Record]:
        links = self._pages("artifact_tasks", "artifact_tasks", _ARTIFACTS_A_PAGE, artifact_ids=artifact)
        for run in dict.fromkeys(each["run_id"] for each in links):
            if record := self.record(run):
                yield record

    def check_artifacts(self) -> None:
        if self._rest.find("artifacts", page_size=1, namespace=self._namespace) is None:
            raise UserError(f"{_NO_ARTIFACTS}, as all up to 2.17; use runs, show or diff, or open the run in its UI")

    def _list(self, size: int, predicates: Sequence[Json] = (), **query: Any) -> Iterator[Json]:
        chosen = {"filter": _filter(predicates) if predicates else None, **query}
        return self._pages("runs", "runs", size, sort_by="created_at desc", namespace=self._namespace, **chosen)

    def _artifacts(self, **query: Any) -> Iterator[Artifact]:
        found = self._pages("artifacts", "artifacts", _ARTIFACTS_A_PAGE, namespace=self._namespace, **query)
        return map(_artifact, found)

    def _pages(self, path: str, items: str, size: int, **query: Any) -> Iterator[Json]:
        return self._rest.pages(path, items=items, following="next_page_token", page_size=size, **query)

    def _record(self, run: Json) -> Record:
        spec = self._spec(run)
        finished = seconds(run.get("finished_at"))
        state = _STATES.get(run.get("state", ""), records.RUNNING if run.get("state") else "")
        old = run.get("run_details", {}).get("task_details", [])
        tasks = [_task(each) for each in run.get("tasks", []) if each.get("type") in _TASKS]
        lists_artifacts = "tasks" in run or not (old or finished)
        if not lists_artifacts:
            tasks = [_old_task(each) for each in old if _is_node(each, spec)]
        return Record(
            run["run_id"],
            run.get("display_name", ""),
            state,
            seconds(run.get("created_at")),
            finished,
            run.get("error", {}).get("message", ""),
            spec,
            specs.defaults(spec) | run.get("runtime_config", {}).get("parameters", {}),
            tasks,
            "" if lists_artifacts else _NO_ARTIFACTS,
        )

    def _spec(self, run: Json) -> Json:
        """Returns the PipelineSpec of a run, which may only name the uploaded version of a pipeline."""
        content = run.get("pipeline_spec")
        version = run.get("pipeline_version_reference", {})
        if content is None and (number := version.get("pipeline_version_id")):
            if number not in self._versions:
                found = self._rest.find("pipelines", version["pipeline_id"], "versions", number)
                self._versions[number] = (found or {}).get("pipeline_spec", {})
            content = self._versions[number]
        spec: Json = content or {}
        nested: Json = spec.get("pipeline_spec", spec)  # one level deeper beside a platform_spec
        return nested


def _task(task: Json) -> Task:
    message = task.get("status_metadata", {}).get("message", "")
    return Task(
        task["task_id"],
        task["name"],
        _STATES.get(task.get("state", ""), records.RUNNING),
        seconds(task.get("create_time")),
        seconds(task.get("end_time")),
        message,
        _channels(task.get("inputs", {})),
        _channels(task.get("outputs", {})),
    )


def _old_task(task: Json) -> Task:
    message = task.get("error", {}).get("message", "")
    state = _STATES.get(task.get("state", ""), records.RUNNING)
    started, ended = seconds(task.get("start_time")), seconds(task.get("end_time"))
    return Task(task["task_id"], task["display_name"], state, started, ended, message, {}, {})


def _is_node(task: Json, spec: Json) -> bool:
    """Returns whether an old version's task is a node of the pipeline that has started, and not a pod."""
    return task.get("display_name") in specs.tasks_of(spec) and seconds(task.get("start_time")) is not None


def _channels(side: Json) -> Channels:
    return {each["artifact_key"]: [_artifact(one) for one in each["artifacts"]] for each in side.get("artifacts", [])}


def _artifact(found: Json) -> Artifact:
    facts = history.known(found.get("metadata", {}))
    kind = specs.type_name(facts.pop(_TITLE, "") or found.get("type", ""))
    return Artifact(
        found["artifact_id"], kind, found.get("uri", ""), None, seconds(found.get("created_at")) or 0.0, facts
    )


def _pushed_to(artifact: Artifact) -> str:
    return str(artifact.facts.get("pushed_destination") or "") if artifact.type == PUSHED_MODEL else ""


def _predicate(operation: int, key: str, value: str) -> Json:
    return {"operation": operation, "key": key, "stringValue": value}


def _created_until(moment: float) -> Json:
    return {"operation": _AT_MOST, "key": "created_at", "timestampValue": records.timestamp(moment)}


def _filter(predicates: Sequence[Json]) -> str:
    return json.dumps({"predicates": list(predicates)})
