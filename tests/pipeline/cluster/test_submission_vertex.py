"""Submits to a local imitation of Vertex AI with the real SDK."""

import itertools
from collections.abc import Iterator

import pytest
from google.cloud import aiplatform

from errors import UserError
from lineage.remote import calls
from pipeline.cluster import submission, vertex
from pipeline.cluster.errors import ContactLost, SubmissionFailed
from pipeline.config import Cluster
from tests.helpers import compiled, stubs
from tests.helpers.stubs import refusal


@pytest.fixture(scope="module")
def job() -> dict:
    return compiled.job(schema_2_1=False)


@pytest.fixture
def service(monkeypatch) -> Iterator[stubs.Vertex]:
    """The stub, to which the SDK's global settings point during the test."""
    monkeypatch.setattr(calls, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(submission, "POLL_S", 0.01)
    with stubs.serving(stubs.Vertex()) as server:
        stubs.point_vertex_sdk_at(server, monkeypatch)
        yield server


@pytest.fixture
def submit(job, said):
    """Submits the job; returns the exit code and the printed lines."""

    def call(changed=job, root="gs://a-bucket/root", project="a-project", wait=False, **parameters):
        cluster = Cluster(project=project, region="us-central1", pipeline_root=root)
        return vertex.submit(changed, cluster, parameters, wait), said()

    return call


def test_without_waiting_the_link_is_printed(service, submit):
    code, heard = submit(data="gs://a-bucket/other")
    ((job_id, sent),) = service.jobs.items()
    assert code == 0
    assert heard == [
        "started on Vertex AI: https://console.cloud.google.com/vertex-ai/locations/us-central1/pipelines/runs/"
        f"{job_id}?project=a-project"
    ]
    assert sent["runtimeConfig"]["gcsOutputDirectory"] == "gs://a-bucket/root"
    assert sent["runtimeConfig"]["parameters"] == {"data": {"stringValue": "gs://a-bucket/other"}}
    assert sent["labels"]["tfx_runner"] == "kubeflow_v2"
    assert service.request_counts == {"POST pipelineJobs": 1}


def test_a_pipeline_of_schema_2_1_is_sent_too(service, submit):
    submit(compiled.job(schema_2_1=True), data="gs://a-bucket/other")
    (sent,) = service.jobs.values()
    assert sent["runtimeConfig"]["parameterValues"] == {"data": "gs://a-bucket/other"}


@pytest.mark.parametrize(
    ("states", "code", "last"),
    [
        (["PENDING", "RUNNING", None, "RUNNING", "SUCCEEDED"], 0, "the run: succeeded"),
        (["RUNNING", "FAILED"], 1, "the run: failed: it failed"),
        (["RUNNING", "CANCELLED"], 130, "the run: cancelled"),
    ],
)
def test_with_waiting_each_change_of_a_task_is_printed(service, submit, states, code, last):
    service.states = iter(states)
    got, heard = submit(wait=True)
    assert (got, heard[-1]) == (code, last)
    changes = [f"CsvExampleGen: {state.lower()}" for state, _ in itertools.groupby(filter(None, states))]
    assert [line.removesuffix(": it failed") for line in heard[1:-1]] == changes


@pytest.mark.parametrize(
    ("faults", "creations"),
    [([429, 429, None], 3), ([503, None], 2), (["reset", None], 2), (["hang", None], 2)],
)
def test_a_transient_fault_is_retried(service, submit, monkeypatch, faults, creations):
    monkeypatch.setattr(calls, "REQUEST_S", 1.0)
    service.faults = iter(faults)
    assert submit()[0] == 0
    assert len(service.jobs) == 1
    assert service.request_counts == {"POST pipelineJobs": creations}


@pytest.mark.parametrize("fault", ["reset after", "hang after"])
def test_a_lost_answer_does_not_start_a_second_run(service, submit, monkeypatch, fault):
    monkeypatch.setattr(calls, "REQUEST_S", 1.0)
    service.faults = iter([fault])
    code, (line,) = submit()
    ((job_id, _),) = service.jobs.items()
    assert code == 0
    assert job_id in line
    assert service.request_counts == {"POST pipelineJobs": 2}


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (401, "cannot log in to Vertex AI: found no usable credentials; log in with 'gcloud auth"),
        (403, "Vertex AI answered 403: made to answer 403; give the account the role 'Vertex AI User'"),
        (404, "Vertex AI answered 404: made to answer 404; check cluster.project and cluster.region"),
        (409, "Vertex AI answered 409: made to answer 409"),
    ],
)
def test_an_error_answer_is_printed_once(service, submit, fault, says):
    service.faults = iter(itertools.repeat(fault))
    assert refusal(SubmissionFailed, submit).startswith(says)
    assert (service.jobs, sum(service.request_counts.values())) == ({}, 1)


def test_an_exhausted_quota_ends_the_retries(service, submit, hurried):
    service.faults = iter(itertools.repeat(429))
    assert refusal(SubmissionFailed, submit).endswith("wait, or ask for more quota")
    assert service.jobs == {}


@pytest.mark.parametrize("fault", [500, "reset", "hang"])
def test_after_a_lasting_fault_a_run_may_have_started(service, submit, hurried, fault):
    service.faults = iter(itertools.repeat(fault))
    assert "before you submit again, check whether the run exists: https://console." in refusal(ContactLost, submit)
    assert service.request_counts["POST pipelineJobs"] >= 1
    assert service.jobs == {}


def test_an_unreachable_service_is_reported_at_once(service, submit, monkeypatch):
    monkeypatch.setattr(calls, "FIRST_WAIT_S", 1000.0)
    monkeypatch.setattr(aiplatform.initializer.global_config, "_api_endpoint", "http://127.0.0.1:9")
    assert refusal(SubmissionFailed, submit) == "no answer from Vertex AI: cannot reach 127.0.0.1:9; try again later"


def test_lost_contact_says_that_the_run_continues(service, submit, hurried):
    service.states = iter(["RUNNING"])
    assert "; the run continues: https://console." in refusal(ContactLost, submit, wait=True)
    assert len(service.jobs) == 1


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"root": "s3://a-bucket/root"}, SubmissionFailed, "It must be a Cloud Storage path"),
        ({"project": "another"}, SubmissionFailed, "answered 403"),
        ({"nothing": 1}, UserError, "The pipeline parameter nothing is not found"),
    ],
)
def test_what_cannot_run_is_refused(service, submit, changes, kind, says):
    assert says in refusal(kind, submit, **changes)
    assert service.jobs == {}


def test_a_spec_without_its_executors_is_refused(service, submit, job):
    spec = {**job["pipelineSpec"], "deploymentSpec": {"executors": {}}}
    says = refusal(SubmissionFailed, submit, changed={**job, "pipelineSpec": spec})
    assert "answered 400: The executor of task CsvExampleGen is not in the deployment spec" in says


def test_a_missing_certificate_file_is_reported(service, submit, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such.pem")
    assert "REQUESTS_CA_BUNDLE: expected the file of a certificate authority" in refusal(UserError, submit)
    assert not service.request_counts


def test_without_credentials_nothing_is_sent(service, submit, monkeypatch, tmp_path):
    monkeypatch.setattr(aiplatform.initializer.global_config, "_credentials", None)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    assert "log in with 'gcloud auth application-default login'" in refusal(SubmissionFailed, submit)
    assert not service.request_counts
