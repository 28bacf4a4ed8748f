"""Local servers that list runs as Kubeflow Pipelines does (backend/api/v2beta1/run.proto and artifact.proto)."""

import functools
import json

from tests.helpers.stored_runs import Json, Stored, facts_of, found_in, key, page_of, time_of, title
from tests.helpers.stubs import Answer, Stub
from tests.helpers.submission_checks import Refused


class KubeflowRuns(Stub):
    """Kubeflow Pipelines without ML Metadata; with `old`, as the releases up to 2.17, which have no artifacts."""

    faulty = "GET /runs"
    prefix = "/apis/v2beta1/"
    old = False
    namespace = ""  # with several users, the only namespace

    def __init__(self, stored: Stored):
        super().__init__()
        self.stored = stored
        self.runs = [self._json(each) for each in reversed(stored.runs)]
        self.queries: list[tuple[str, dict[str, str]]] = []

    def error(self, status: int, text: str) -> Answer:
        return status, {"error": text, "code": status, "message": text, "details": []}

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Answer:
        self.queries.append((path, query))
        collection, _, rest = path.removeprefix(self.prefix).partition("/")
        answers = {"runs": self._runs, "artifacts": self._artifacts, "artifact_tasks": self._links}
        if not path.startswith(self.prefix) or collection not in answers or (self.old and collection != "runs"):
            raise Refused(404, "Not Found")
        if self.namespace and not rest and collection == "runs" and query.get("namespace") != self.namespace:
            raise Refused(400, "Invalid input error: A run cannot have an empty namespace in multi-user mode.")
        return 200, answers[collection](rest, query)

    def _runs(self, number: str, query: dict[str, str]) -> Json:
        if number:
            return self._with_tasks(found_in(self.runs, "run_id", number), query)
        assert query["sort_by"] == "created_at desc"
        found = [each for each in self.runs if _matches(each, query.get("filter"))]
        page, following = page_of(found, query, "page_size", "page_token")
        answer = {"runs": [self._with_tasks(each, query) for each in page], "total_size": len(found)}
        return answer | ({"next_page_token": following} if following else {})

    def _with_tasks(self, run: Json, query: dict[str, str]) -> Json:
        if self.old or query.get("view") == "FULL":
            return run
        return {name: value for name, value in run.items() if name != "tasks"}

    def _artifacts(self, number: str, query: dict[str, str]) -> Json:
        everything = [self.artifact(each) for each in sorted(self.stored.artifacts, reverse=True)]
        if number:
            return found_in(everything, "artifact_id", number)
        found = [each for each in everything if _matches(each, query.get("filter"))]
        page, following = page_of(found, query, "page_size", "page_token")
        return {"artifacts": page} | ({"next_page_token": following} if following else {})

    def _links(self, _: str, query: dict[str, str]) -> Json:
        links = []
        for run in self.stored.runs:
            for task in run["tasks"]:
                for side in ("inputs", "outputs"):
                    for channel, numbers in task[side].items():
                        links += [
                            {
                                "id": key("link", task["number"] * 1000 + number),
                                "artifact_id": key("artifact", number),
                                "run_id": run["id"],
                                "task_id": task["id"],
                                "type": "OUTPUT" if side == "outputs" else "TASK_OUTPUT_INPUT",
                                "key": channel,
                            }
                            for number in numbers
                            if key("artifact", number) == query["artifact_ids"]
                        ]
        page, following = page_of(links, query, "page_size", "page_token")
        return {"artifact_tasks": page} | ({"next_page_token": following} if following else {})

    @functools.cache  # noqa: B019 (one object for each test)
    def artifact(self, number: int) -> Json:
        found = self.stored.artifacts[number]
        return {
            "artifact_id": key("artifact", number),
            "name": found.name,
            "type": "Artifact",
            "uri": found.uri,
            "metadata": facts_of(found) | {"_kfp_schema_title": f"title: {title(found)}\ntype: object\n"},
            "created_at": time_of(found.create_time_since_epoch),
        }

    def _json(self, run: Json) -> Json:
        epochs = json.loads(run["facts"]["settings"])["trainer"]["epochs"]
        shared = {
            "run_id": run["id"],
            "display_name": run["name"],
            "storage_state": "AVAILABLE",
            "created_at": time_of(run["created"]),
            "scheduled_at": time_of(run["created"]),
            "finished_at": time_of(run["finished"]),
            "state": run["state"],
            "runtime_config": {"parameters": {"epochs": epochs}},
            "pipeline_spec": self.stored.spec(run, "constant"),
        }
        if self.old:
            return {**shared, "run_details": {"task_details": _old_tasks(run)}}
        root = {"name": "root", "task_id": key("root", run["number"]), "type": "ROOT", "state": run["state"]}
        return {**shared, "tasks": [root, *(self._task(each) for each in run["tasks"])]}

    def _task(self, task: Json) -> Json:
        sides = {}
        for side, kind in (("inputs", "TASK_OUTPUT_INPUT"), ("outputs", "OUTPUT")):
            channels = [
                {"artifact_key": channel, "type": kind, "artifacts": [self.artifact(each) for each in numbers]}
                for channel, numbers in task[side].items()
            ]
            sides[side] = {"artifacts": channels} if channels else {}
        return {
            "name": task["node"],
            "display_name": task["node"],
            "task_id": task["id"],
            "type": "RUNTIME",
            "create_time": time_of(task["started"]),
            "end_time": time_of(task["ended"]),
            "state": task["state"],
            **({"status_metadata": {"message": task["error"]}} if task["error"] else {}),
            **sides,
        }


class OldKubeflowRuns(KubeflowRuns):
    """The API of the releases from 2.0 to 2.17."""

    old = True


def _old_tasks(run: Json) -> list[Json]:
    """Returns the tasks as the releases have them: nodes of Argo's graph, without artifacts, in whole seconds."""
    zero = "0001-01-01T00:00:00Z"
    names = [("root", 0), *((f"{task['node']}-driver", 0) for task in run["tasks"]), ("executor", 0)]
    pods = [{"task_id": key(name, run["number"]), "display_name": name, "start_time": zero} for name, _ in names]
    return pods + [
        {
            "task_id": task["id"],
            "display_name": task["node"],
            "create_time": time_of(task["started"]),
            "start_time": time_of(task["started"]),
            "end_time": time_of(task["ended"]),
            "state": "FAILED" if task["state"] == "FAILED" else "SUCCEEDED",
            "child_tasks": [{"pod_name": "a-pod"}],
        }
        for task in run["tasks"]
    ]


def _matches(item: Json, chosen: str | None) -> bool:
    """Returns whether an item fulfils a filter of Kubeflow Pipelines (filter.proto)."""
    predicates = json.loads(chosen)["predicates"] if chosen else []
    return all(_fulfils(item.get(each["key"], ""), each) for each in predicates)


def _fulfils(value: str, predicate: Json) -> bool:
    if predicate["operation"] == 7:  # LESS_THAN_EQUALS
        return value[:19] <= predicate["timestampValue"][:19]
    wanted = predicate["stringValue"]
    return value == wanted if predicate["operation"] == 1 else wanted in value  # EQUALS, IS_SUBSTRING
