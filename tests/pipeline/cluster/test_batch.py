"""Starts and follows a batch prediction job of a local imitation of Vertex AI, with the real SDK."""

import itertools
import subprocess
import sys
from collections.abc import Iterator

import pytest
from google.cloud import aiplatform

import kubeflow_runner
from components import pushing
from errors import UserError
from lineage.remote import calls
from pipeline.cluster import batch, endpoints, submission
from pipeline.cluster.errors import ContactLost, SubmissionFailed
from pipeline.config import Deployment
from tests.conftest import ROOT
from tests.helpers import stubs
from tests.helpers.stubs import refusal
from tests.helpers.vertex_endpoints import VertexEndpoints

WHERE = ["--project", "a-project", "--region", "us-central1"]
FILES = ["--photos", "gs://a-bucket/photos.txt", "--to", "gs://a-bucket/predictions"]
COMMAND = ["endpoint", "batch", "photos", *FILES, *WHERE]
LINK = "https://console.cloud.google.com/vertex-ai/locations/us-central1/batch-predictions/30?project=a-project"
FOLDER = "gs://a-bucket/predictions/prediction-sample-2026"


@pytest.fixture
def service(monkeypatch) -> Iterator[VertexEndpoints]:
    """The stub, with an endpoint whose first model gets 90 % of the requests."""
    monkeypatch.setattr(calls, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(submission, "POLL_S", 0.01)
    with stubs.serving(VertexEndpoints()) as server:
        stubs.point_vertex_sdk_at(server, monkeypatch)
        _deploy(1, service_account="photos@a-project.iam.gserviceaccount.com", max_replicas=3)
        _deploy(2, traffic=10, machine_type="n2-standard-8")
        server.request_counts.clear()
        server.faulty = "POST /batchPredictionJobs"
        yield server


def _deploy(version, service_account=None, **changes):
    settings = {"project": "a-project", "region": "us-central1", "name": "sample", "service_account": service_account}
    settings |= Deployment(endpoint="photos", **changes).model_dump()
    pushing._deploy(f"gs://a-bucket/pushed/sample/{version}", settings)


@pytest.fixture
def start(service, said):
    """Starts a job; returns the exit code and the printed lines."""

    def call(wait=False):
        found = endpoints.find("photos", "a-project", "us-central1")
        return batch.start(found, "gs://a-bucket/photos.txt", "gs://a-bucket/predictions", wait), said()

    return call


def _outcome(predicted, failed=0, incomplete=0, **more):
    stats = {"successfulCount": str(predicted), "failedCount": str(failed), "incompleteCount": str(incomplete)}
    return {"completionStats": stats, "outputInfo": {"gcsOutputDirectory": FOLDER}, **more}


def test_the_job_has_the_model_and_the_machines_that_answer_most_requests(service, capsys):
    assert kubeflow_runner.main(COMMAND) == 0
    (sent,) = service.batches.values()
    assert sent["model"] == "projects/a-project/locations/us-central1/models/20@1"
    assert sent["inputConfig"] == {"instancesFormat": "file-list", "gcsSource": {"uris": ["gs://a-bucket/photos.txt"]}}
    destination = {"outputUriPrefix": "gs://a-bucket/predictions"}
    assert sent["outputConfig"] == {"predictionsFormat": "jsonl", "gcsDestination": destination}
    machines = {"startingReplicaCount": 3, "maxReplicaCount": 3}
    assert sent["dedicatedResources"] == {"machineSpec": {"machineType": "n1-standard-4"}, **machines}
    assert sent["serviceAccount"] == "photos@a-project.iam.gserviceaccount.com"
    assert sent["displayName"].startswith("photos-")
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{sent['name']}: pending, model 20@1 on 3 × n1-standard-4"
    assert second == f"started on Vertex AI: {LINK}"
    assert service.request_counts["GET 30"] == 0


def test_of_two_models_with_as_many_requests_the_latest_predicts(service, start):
    first, second = service.endpoints["10"]["trafficSplit"]
    service.endpoints["10"]["trafficSplit"] = {first: 50, second: 50}
    assert start()[0] == 0
    (sent,) = service.batches.values()
    assert sent["model"].endswith("@2") and sent["dedicatedResources"]["machineSpec"]["machineType"] == "n2-standard-8"


def test_waiting_prints_the_counts_and_the_folder(service, start):
    service.states = iter(["PENDING", "RUNNING", None, "RUNNING", "SUCCEEDED"])
    service.outcome = _outcome(predicted=12)
    code, heard = start(wait=True)
    assert code == 0
    assert heard[2:] == [
        "photos: pending, 0 predicted, 0 failed",
        "photos: running, 0 predicted, 0 failed",
        "photos: succeeded, 12 predicted, 0 failed",
        "the run: succeeded",
        f"predictions: {FOLDER}",
    ]


def test_photos_without_a_prediction_are_reported(service, start):
    service.states = iter(["SUCCEEDED"])
    failure = {"code": 3, "message": "cannot read\ngs://a-bucket/a.jpg"}
    service.outcome = _outcome(predicted=9, failed=2, incomplete=-1, partialFailures=[failure])
    code, heard = start(wait=True)
    assert code == 1
    assert heard[2] == "photos: succeeded, 9 predicted, 2 failed, an unknown number not processed"
    assert heard[-2] == "cannot read gs://a-bucket/a.jpg"
    assert heard[-1] == f"photos without a prediction; their errors are in the files *errors* of {FOLDER}"


@pytest.mark.parametrize(
    ("state", "code"), [("FAILED", 1), ("EXPIRED", 1), ("PARTIALLY_SUCCEEDED", 1), ("CANCELLED", 130), ("PAUSED", 130)]
)
def test_a_job_that_ends_otherwise_says_why(service, start, state, code):
    service.states = iter(["RUNNING", state])
    service.outcome = _outcome(0, incomplete=7, error={"code": 3, "message": "the model server\nnever became ready"})
    got, heard = start(wait=True)
    assert got == code
    spelled = state.lower().replace("_", " ")
    assert heard[-4:] == [
        f"photos: {spelled}, 0 predicted, 0 failed, 7 not processed",
        f"the run: {spelled}: the model server never became ready",
        f"predictions: {FOLDER}",
        f"photos without a prediction; their errors are in the files *errors* of {FOLDER}",
    ]


def test_a_job_that_never_began_has_no_folder(service, start):
    service.states = iter(["FAILED"])
    service.outcome = {"error": {"code": 7, "message": "the service agent cannot read gs://a-bucket/photos.txt"}}
    code, heard = start(wait=True)
    assert code == 1
    assert heard[-1] == "the run: failed: the service agent cannot read gs://a-bucket/photos.txt"


@pytest.mark.parametrize(("faults", "creations"), [([429, 429, None], 3), (["reset after"], 1), (["hang after"], 1)])
def test_a_lost_answer_does_not_start_a_second_job(service, start, monkeypatch, faults, creations):
    monkeypatch.setattr(calls, "REQUEST_S", 1.0)
    service.faults = iter(faults)
    code, heard = start()
    assert (code, heard[-1]) == (0, f"started on Vertex AI: {LINK}")
    assert len(service.batches) == 1 and service.request_counts["POST batchPredictionJobs"] == creations


@pytest.mark.parametrize("fault", [503, "reset"])
def test_without_an_answer_a_job_may_have_started(service, start, fault):
    service.faults = iter([fault])
    said = refusal(ContactLost, start)
    assert "; before you start the job again, check whether photos-" in said
    assert said.endswith("/batch-predictions/?project=a-project")
    assert service.request_counts["POST batchPredictionJobs"] == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (400, "Vertex AI answered 400: made to answer 400"),
        (403, "Vertex AI answered 403: made to answer 403; give the account the role 'Vertex AI User'"),
        (404, "Vertex AI answered 404: made to answer 404; check cluster.project and cluster.region"),
    ],
)
def test_a_refusal_is_one_line(service, start, fault, says):
    service.faults = iter([fault])
    assert refusal(SubmissionFailed, start).startswith(says)
    assert not service.batches


def test_an_exhausted_quota_ends_the_retries(service, start, hurried):
    service.faults = iter(itertools.repeat(429))
    assert refusal(SubmissionFailed, start).endswith("wait, or ask for more quota")


def test_a_deleted_model_is_refused(service, start):
    service.models.clear()
    assert "answered 404: The Model projects/a-project/" in refusal(SubmissionFailed, start)


def test_an_unreachable_service_is_one_line(service, start, monkeypatch):
    monkeypatch.setattr(aiplatform.initializer.global_config, "_api_endpoint", "http://127.0.0.1:9")
    assert refusal(SubmissionFailed, start) == "no answer from Vertex AI: cannot reach 127.0.0.1:9; try again later"


def test_lost_contact_says_that_the_job_continues(service, start, hurried):
    service.states = iter(["RUNNING"])
    assert refusal(ContactLost, start, wait=True).endswith(f"; the run continues: {LINK}")


def test_an_interrupt_leaves_the_job_running(service, monkeypatch, capsys):
    def interrupted(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(submission.time, "sleep", interrupted)
    service.states = iter(["RUNNING"])
    assert kubeflow_runner.main([*COMMAND, "--wait"]) == 130
    assert capsys.readouterr().err == f"kubeflow_runner.py: interrupted; the job continues: {LINK}\n"


@pytest.mark.parametrize("models", [[], None])
def test_an_endpoint_without_requests_is_refused(service, start, models):
    service.endpoints["10"] |= {"trafficSplit": {}} | ({} if models is None else {"deployedModels": models})
    says = refusal(UserError, start)
    assert says.startswith("expected an endpoint with a model that gets requests, received 'photos' without one")


def test_an_unknown_endpoint_is_refused(service, capsys):
    assert kubeflow_runner.main(["endpoint", "batch", "other", *FILES, *WHERE]) == 2
    assert "received 'other'; check its name" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["batch", "photos"], "expected --photos and --to with batch, and only with batch; received batch"),
        (["batch", "photos", *FILES[:2]], "only with batch; received batch"),
        (["show", "photos", *FILES], "only with batch; received show"),
        (["rollback", "photos", "--wait"], "only with batch; received rollback"),
        (["batch", "photos", "a=1", *FILES], "only with divide; received batch"),
        (["batch", "photos", "--photos", "photos.txt", *FILES[2:]], "--photos: expected gs://BUCKET/FILE, received ph"),
        (["batch", "photos", "--photos", "gs://a-bucket/photos/", *FILES[2:]], "--photos: expected gs://BUCKET/FILE"),
        (["batch", "photos", "--photos", "", *FILES[2:]], "--photos: expected gs://BUCKET/FILE, received "),
        (["batch", "photos", *FILES[:2], "--to", "s3://a-bucket/predictions"], "--to: expected gs://BUCKET/FOLDER"),
        (["batch", "photos", *FILES[:2], "--to", "gs://a-bucket"], "--to: expected gs://BUCKET/FOLDER, received gs"),
        (["batch", "photos", *FILES[:2], "--to", "gs://Bucket/a"], "The name of a bucket has 3 to 63 "),
    ],
)  # fmt: skip
def test_wrong_words_are_one_plain_line(line, says, capsys):
    assert kubeflow_runner.main(["endpoint", *line, *WHERE]) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1


def test_wrong_words_are_found_before_the_sdk_is_imported():
    program = "import sys, kubeflow_runner as k; print(k.main(sys.argv[1:]), 'google.cloud.aiplatform' in sys.modules)"
    words = ["endpoint", "batch", "photos", "--photos", "photos.txt", *FILES[2:], *WHERE]
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"
