"""The request that TFX's Trainer sends to Vertex AI for a custom job."""

import json
from collections.abc import Iterator

import pytest
from google.cloud.aiplatform import gapic
from google.oauth2.credentials import Credentials
from tfx.extensions.google_cloud_ai_platform import constants, runner, training_clients
from tfx.extensions.google_cloud_ai_platform.trainer import executor
from tfx.types import standard_artifacts

from tests.helpers import stubs

IMAGE = "us-docker.pkg.dev/a-project/images/trainer:1-tpu"
WORKER_POOL = {
    "machine_spec": {"machine_type": "ct5lp-hightpu-4t", "tpu_topology": "2x2"},
    "replica_count": 1,
    "container_spec": {"image_uri": IMAGE},
}


@pytest.fixture
def service(monkeypatch) -> Iterator[stubs.Vertex]:
    """The stub in the place of us-central1-aiplatform.googleapis.com, spoken to in JSON."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(runner, "_POLLING_INTERVAL_IN_SECONDS", 0.01)
    client = gapic.JobServiceClient
    with stubs.serving(stubs.Vertex()) as server:

        def over_rest(client_options):
            assert client_options == {"api_endpoint": "us-central1-aiplatform.googleapis.com"}
            credentials = Credentials(token=stubs.TOKEN)
            return client(transport="rest", credentials=credentials, client_options={"api_endpoint": server.url})

        monkeypatch.setattr(training_clients.gapic, "JobServiceClient", over_rest)
        yield server


def _train() -> None:
    model = standard_artifacts.Model()
    model.uri = "gs://a-bucket/root/model/1"
    custom = {
        constants.ENABLE_VERTEX_KEY: True,
        constants.VERTEX_REGION_KEY: "us-central1",
        executor.TRAINING_ARGS_KEY: {
            "project": "a-project",
            "display_name": "tiny-trainer",
            "job_spec": {"worker_pool_specs": [WORKER_POOL]},
        },
    }
    properties = {"custom_config": json.dumps(custom), "run_fn": "trainer.run.run_fn"}
    executor.GenericExecutor().Do({}, {"model": [model]}, properties)


def test_the_worker_pool_is_a_tpu_slice(service):
    service.states = iter(["PENDING", "RUNNING", "SUCCEEDED"])
    _train()
    (sent,) = service.jobs.values()
    (pool,) = sent["jobSpec"]["workerPoolSpecs"]
    assert sent["displayName"] == "tiny-trainer"
    assert pool["machineSpec"] == {"machineType": "ct5lp-hightpu-4t", "tpuTopology": "2x2"}
    assert (pool["replicaCount"], pool["containerSpec"]["imageUri"]) == ("1", IMAGE)
    assert service.request_counts == {"POST customJobs": 1, "GET 1234": 3}


def test_the_worker_runs_the_trainer_with_what_it_was_given(service):
    service.states = iter(["SUCCEEDED"])
    _train()
    ((sent,),) = [each["jobSpec"]["workerPoolSpecs"] for each in service.jobs.values()]
    command = sent["containerSpec"]["command"]
    flags = dict(zip(command[3::2], command[4::2], strict=True))
    assert command[:3] == ["python", "-m", "tfx.scripts.run_executor"]
    assert flags["--executor_class_path"] == "tfx.components.trainer.executor.GenericExecutor"
    assert "gs://a-bucket/root/model/1" in flags["--outputs"]
    assert json.loads(flags["--exec-properties"])["run_fn"] == "trainer.run.run_fn"


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_a_job_that_does_not_succeed_fails_the_node(service, state):
    service.states = iter(["RUNNING", state])
    with pytest.raises(RuntimeError, match="did not succeed"):
        _train()
