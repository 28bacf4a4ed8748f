"""A local server that lists pipeline jobs and Vertex ML Metadata as Vertex AI does (google/cloud/aiplatform/v1)."""

import functools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import google.auth
import pytest
from google.oauth2.credentials import Credentials
from ml_metadata.proto import metadata_store_pb2 as mlmd_pb2

from lineage.remote import vertex
from tests.helpers.stored_runs import Json, Stored, facts_of, found_in, key, page_of, time_of, title
from tests.helpers.stubs import TOKEN, Answer, Vertex, serving
from tests.helpers.submission_checks import Refused

_FIELDS = {"display_name": "displayName", "create_time": "createTime", "end_time": "endTime", "state": "state"}
_FIELDS |= {"schema_title": "schemaTitle", "uri": "uri"}


@contextmanager
def serving_vertex(stored: Stored, patch: pytest.MonkeyPatch) -> Iterator[tuple[str, "VertexRuns"]]:
    """Serves runs as Vertex AI; yields the address for --store, and the server.

    The credentials are given, because google.auth also asks servers on the Internet about those of a file.
    """
    with serving(VertexRuns(stored)) as server:
        patch.setattr(google.auth, "default", lambda scopes: (Credentials(token=TOKEN), None))
        patch.setenv("no_proxy", "127.0.0.1")
        patch.setattr(vertex, "_URL", server.url)
        yield "vertex://a-project/us-central1", server


class VertexRuns(Vertex):
    """Vertex AI with pipeline jobs and Vertex ML Metadata."""

    faulty = "GET /pipelineJobs"

    def __init__(self, stored: Stored):
        super().__init__()
        self.stored = stored
        self.runs = [self._json(each) for each in reversed(stored.runs)]
        self.queries: list[tuple[str, dict[str, str]]] = []

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Answer:
        self.queries.append((path, query))
        if not path.startswith(self.parent + "/"):
            raise Refused(403, "Permission denied on resource project, or it may not exist.")
        _, _, rest = path.removeprefix(self.parent).partition("/")
        kind, _, number = rest.removeprefix("metadataStores/default/").partition("/")
        number, _, verb = number.partition(":")
        if verb:
            assert (kind, verb, query) == ("artifacts", "queryArtifactLineageSubgraph", {"maxHops": "1"})
            return 200, self._around(number)
        everything = {"pipelineJobs": self.runs, "artifacts": [*map(self.artifact, self.stored.artifacts)]}[kind]
        if number:
            return 200, found_in([{**each, "id": each["name"].rpartition("/")[2]} for each in everything], "id", number)
        found = [each for each in everything if _matches(each, query.get("filter", ""))]
        page, following = page_of(found, query, "pageSize", "pageToken")
        listed = [{name: value for name, value in each.items() if name != "jobDetail"} for each in page]
        return 200, {kind: listed} | ({"nextPageToken": following} if following else {})

    def _around(self, number: str) -> Json:
        tasks = [task for run in self.stored.runs for task in run["tasks"]]
        wanted = self.stored.ids[number]
        used = [
            task
            for task in tasks
            if any(wanted in ids for side in ("inputs", "outputs") for ids in task[side].values())
        ]
        return {"artifacts": [self.artifact(wanted)], "executions": [self._execution(each) for each in used]}

    def _name(self, kind: str, number: str) -> str:
        return f"{self.parent.removeprefix('/v1/')}/metadataStores/default/{kind}/{number}"

    @functools.cache  # noqa: B019 (one object for each test)
    def artifact(self, number: int) -> Json:
        found = self.stored.artifacts[number]
        return {
            "name": self._name("artifacts", key("artifact", number)),
            "uri": found.uri,
            "createTime": time_of(found.create_time_since_epoch),
            "state": "LIVE" if found.state == mlmd_pb2.Artifact.LIVE else "PENDING",
            "schemaTitle": title(found),
            "schemaVersion": "0.0.1",
            "metadata": facts_of(found),
        }

    def _execution(self, task: Json) -> Json:
        states = {"SUCCEEDED": "COMPLETE"}
        name = self._name("executions", task["id"])
        state = states.get(task["state"], task["state"])
        schema = "system.ContainerExecution"
        return {"name": name, "state": state, "createTime": time_of(task["started"]), "schemaTitle": schema}

    def _json(self, run: Json) -> Json:
        epochs = json.loads(run["facts"]["settings"])["trainer"]["epochs"]
        error = {"error": {"code": 9, "message": "the task failed"}} if run["state"] == "FAILED" else {}
        root = {"taskId": str(run["number"] * 1000), "taskName": run["facts"]["pipeline"], "state": run["state"]}
        return {
            "name": f"{self.parent.removeprefix('/v1/')}/pipelineJobs/{run['id']}",
            "displayName": run["facts"]["pipeline"],
            "createTime": time_of(run["created"]),
            "startTime": time_of(run["created"]),
            "endTime": time_of(run["finished"]),
            "pipelineSpec": self.stored.spec(run, "constantValue"),
            "state": f"PIPELINE_STATE_{run['state']}",
            "jobDetail": {"taskDetails": [root, *(self._task(each) for each in run["tasks"])]},
            "runtimeConfig": {"gcsOutputDirectory": "gs://b", "parameters": {"epochs": {"intValue": str(epochs)}}},
            **error,
        }

    def _task(self, task: Json) -> Json:
        sides = {
            side: {name: {"artifacts": [*map(self.artifact, numbers)]} for name, numbers in task[side].items()}
            for side in ("inputs", "outputs")
        }
        return {
            "taskId": str(task["number"]),
            "taskName": task["node"],
            "createTime": time_of(task["started"]),
            "startTime": time_of(task["started"]),
            "endTime": time_of(task["ended"]),
            "state": "SKIPPED" if task["state"] == "CACHED" else task["state"],
            "execution": self._execution(task),
            **({"error": {"code": 9, "message": task["error"]}} if task["error"] else {}),
            **sides,
        }


def _matches(item: Json, chosen: str) -> bool:
    """Returns whether an item fulfils a filter of Google Cloud (AIP-160), as far as the project uses them."""
    terms = [re.fullmatch(r"([\w.]+)(<=|>=|=|:)(\".*\")", term) for term in chosen.split(" AND ") if chosen]
    return all(_fulfils(item, term[1], term[2], json.loads(term[3])) for term in terms)


def _fulfils(item: Json, name: str, operation: str, wanted: str) -> bool:
    if name == "pipeline_job_user_id":
        return item["name"].rpartition("/")[2].startswith(wanted.rstrip("*"))
    if name.startswith("metadata."):
        return item.get("metadata", {}).get(name.split(".")[1]) == wanted
    value = item.get(_FIELDS[name], "")
    return {"<=": value <= wanted, ">=": value >= wanted, "=": value == wanted}[operation]
