"""A local server with endpoints, models and batch prediction jobs of Vertex AI (google/cloud/aiplatform/v1).

It also refuses what Vertex AI refuses.
"""

import json
from typing import Any

from google.cloud import aiplatform_v1
from google.protobuf import json_format

from tests.helpers.stubs import Answer, Vertex
from tests.helpers.submission_checks import Refused

Json = dict[str, Any]
_BATCHES = "batchPredictionJobs"
_OF_THE_SERVICE = {"name", "state", "error", "outputInfo", "completionStats", "partialFailures", "modelVersionId"}
_TYPE = "type.googleapis.com/google.cloud.aiplatform.v1."


def _checked(kind: Any, body: Json) -> None:
    """Refuses fields that the API does not have."""
    try:
        json_format.ParseDict(body, kind.pb(kind()))
    except json_format.ParseError as error:
        raise Refused(400, f"Invalid JSON payload received: {error}") from None


class VertexEndpoints(Vertex):
    """`endpoints`, `models` and `batches` by id; each operation is done at the second request for it.

    A request for a batch prediction job gets the next of `states`, and at its end `outcome` too.
    """

    faulty = "POST :deployModel"

    def __init__(self) -> None:
        super().__init__()
        self.endpoints: dict[str, Json] = {}
        self.models: dict[str, Json] = {}
        self.batches: dict[str, Json] = {}
        self.outcome: Json = {}
        self.operations: dict[str, Json] = {}

    def answer(self, method: str, path: str, query: dict[str, str], body: Json) -> Answer:
        path = path.replace("/ui/", "/v1/", 1)  # the first of the paths that the API lists for operations
        if not path.startswith(self.parent + "/"):
            raise Refused(403, "Permission denied on resource project, or it may not exist.")
        kind, _, rest = path.removeprefix(self.parent + "/").partition("/")
        kind, _, verb = kind.partition(":")
        number, _, verb_of_one = rest.partition(":")
        if kind == "operations" or rest.startswith("operations"):
            return 200, self.operations[path.removeprefix("/v1/")]
        if kind == _BATCHES:
            return 200, self._batch(method, number, query, body)
        if kind == "models":
            return 200, (self._upload(body) if verb else self._list(kind, query))
        if not number:
            return 200, (self._list(kind, query) if method == "GET" else self._create(body))
        if number not in self.endpoints:
            raise Refused(404, f"The Endpoint {number} does not exist.")
        return 200, self._change(self.endpoints[number], method, verb_of_one, body)

    def _list(self, kind: str, query: dict[str, str]) -> Json:
        name = query["filter"].removeprefix("display_name=").strip('"')
        found = {"endpoints": self.endpoints, "models": self.models, _BATCHES: self.batches}[kind].values()
        return {kind: [each for each in found if each["displayName"] == name]}

    def _operation(self, response: str, content: Json) -> Json:
        name = f"{self.parent.removeprefix('/v1/')}/operations/{len(self.operations) + 1}"
        done = {"name": name, "done": True, "response": {"@type": f"{_TYPE}{response}", **content}}
        self.operations[name] = done
        return {"name": name, "done": False}

    def _name(self, kind: str, number: str) -> str:
        return f"{self.parent.removeprefix('/v1/')}/{kind}/{number}"

    def _create(self, body: Json) -> Json:
        _checked(aiplatform_v1.Endpoint, body)
        number = str(len(self.endpoints) + 10)
        self.endpoints[number] = {**body, "name": self._name("endpoints", number), "etag": "1"}
        return self._operation("Endpoint", self.endpoints[number])

    def _upload(self, body: Json) -> Json:
        _checked(aiplatform_v1.UploadModelRequest, body)
        model = body["model"]
        if not model["artifactUri"].startswith("gs://"):
            raise Refused(400, "The artifact_uri must be a Cloud Storage path.")
        number = body.get("parentModel", "").rpartition("/")[2] or str(len(self.models) + 20)
        version = str(int(self.models.get(number, {}).get("versionId", 0)) + 1)
        self.models[number] = {**model, "name": self._name("models", number), "versionId": version}
        content = {"model": self._name("models", number), "modelVersionId": version}
        return self._operation("UploadModelResponse", content)

    def _change(self, endpoint: Json, method: str, verb: str, body: Json) -> Json:
        deployed = endpoint.setdefault("deployedModels", [])
        if method == "GET":
            return endpoint
        if method == "PATCH":
            _checked(aiplatform_v1.Endpoint, body)
            if body.get("etag") != endpoint["etag"]:
                raise Refused(409, "The endpoint was changed by another request.")
            return self._split(endpoint, body["trafficSplit"])
        if verb == "deployModel":
            _checked(aiplatform_v1.DeployModelRequest, body)
            number = str(100 + len(self.operations))
            time = f"2026-01-01T00:00:{len(deployed):02}Z"
            split = {number if key == "0" else key: share for key, share in body["trafficSplit"].items()}
            version = body["deployedModel"]["model"].rpartition("@")[2]
            deployed.append({**body["deployedModel"], "id": number, "createTime": time, "modelVersionId": version})
            self._split(endpoint, split)
            return self._operation("DeployModelResponse", {"deployedModel": deployed[-1]})
        if endpoint["trafficSplit"].get(body["deployedModelId"]):
            raise Refused(400, "The DeployedModel has traffic.")
        endpoint["deployedModels"] = [each for each in deployed if each["id"] != body["deployedModelId"]]
        return self._operation("UndeployModelResponse", {})

    def _batch(self, method: str, number: str, query: dict[str, str], body: Json) -> Json:
        if method == "POST":
            self._check_batch(body)
            number = str(len(self.batches) + 30)
            self.batches[number] = {**body, "name": self._name(_BATCHES, number), "state": "JOB_STATE_PENDING"}
        if not number:
            return self._list(_BATCHES, query)
        if method == "GET":
            state = self.next_state()
            ended = self.outcome if state not in ("PENDING", "RUNNING") else {}
            self.batches[number] |= {"state": f"JOB_STATE_{state}", **ended}
        _checked(aiplatform_v1.BatchPredictionJob, self.batches[number])  # an answer of the API
        return self.batches[number]

    def _check_batch(self, body: Json) -> None:
        """Refuses what the reference of BatchPredictionJob and its parts excludes, for a model with one container."""
        _checked(aiplatform_v1.BatchPredictionJob, body)
        resources = body["dedicatedResources"]
        name, _, version = body["model"].partition("@")
        model = self.models.get(name.rpartition("/")[2])
        if model is None or not 1 <= int(version) <= int(model["versionId"]):
            raise Refused(404, f"The Model {body['model']} does not exist.")
        for wrong, text in [
            (bool(body.keys() & _OF_THE_SERVICE), "A field is output only."),
            (not 0 < len(body["displayName"]) <= 128, "The display_name must have 1 to 128 characters."),
            (body["inputConfig"]["instancesFormat"] != "file-list", "The instances_format is not supported."),
            (body["outputConfig"]["predictionsFormat"] != "jsonl", "The predictions_format is not supported."),
            (not resources["machineSpec"]["machineType"], "The machine_type is required."),
            (not 1 <= resources["startingReplicaCount"] <= resources["maxReplicaCount"], "Invalid replica counts."),
        ]:
            if wrong:
                raise Refused(400, text)
        for uri in [
            *body["inputConfig"]["gcsSource"]["uris"],
            body["outputConfig"]["gcsDestination"]["outputUriPrefix"],
        ]:
            if not uri.startswith("gs://"):
                raise Refused(400, f"{uri} must be a Cloud Storage path.")

    @staticmethod
    def _split(endpoint: Json, split: dict[str, int]) -> Json:
        known = {each["id"] for each in endpoint["deployedModels"]}
        if sum(split.values()) != 100 or not split.keys() <= known:
            raise Refused(400, f"Invalid traffic split {json.dumps(split)}: percentages must add up to 100.")
        endpoint.update(trafficSplit=split, etag=str(int(endpoint["etag"]) + 1))
        return endpoint
