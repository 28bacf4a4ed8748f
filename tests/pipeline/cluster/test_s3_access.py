"""Compiled pipelines name the S3 server and the secret with the credentials, and contain no credentials."""

import pytest
import yaml

import kubeflow_runner
from errors import UserError
from pipeline.cluster import cluster_settings, compiled, s3_access

SERVER = "http://minio-service.kubeflow:9000"
FLAGS = ["--target", "kubeflow", "--image", "r.io/photos/pipeline:1"]
MINIO = [*FLAGS, "--pipeline-root", "minio://mlpipeline/root", "--data", "minio://mlpipeline/photos"]
TPU = ["--set", "cluster.trainer=tpu-v5e-4"]


def _compile(file, *flags) -> tuple[dict, dict]:
    """Returns the executors that run containers, and their platform-specific part."""
    assert kubeflow_runner.main(["compile", *flags, "-o", str(file)]) == 0
    spec, *more = yaml.safe_load_all(file.read_text())
    executors = {key: each["container"] for key, each in spec["deploymentSpec"]["executors"].items()}
    return executors, more[0]["platforms"]["kubernetes"]["deploymentSpec"]["executors"] if more else {}


def _variables(container) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container.get("env", [])}


def test_minio(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "an-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-password")
    file = tmp_path / "sample.yaml"
    executors, platform = _compile(file, *MINIO, *TPU, "--set", f"cluster.s3_endpoint={SERVER}")
    assert len(executors) > 5 and platform.keys() == executors.keys()
    assert {_variables(container)["AWS_ENDPOINT_URL"] for container in executors.values()} == {SERVER}
    expected = {
        "secretName": "mlpipeline-minio-artifact",
        "keyToEnv": [
            {"secretKey": "accesskey", "envVar": "AWS_ACCESS_KEY_ID"},
            {"secretKey": "secretkey", "envVar": "AWS_SECRET_ACCESS_KEY"},
        ],
    }
    assert all(each["secretAsEnv"] == [expected] for each in platform.values())
    assert "nodeSelector" in platform["Trainer_executor"]  # the TPU's labels are kept
    assert "an-id" not in file.read_text() and "a-password" not in file.read_text()
    job = compiled.read(file)
    assert s3_access.granted(job) == {"s3_endpoint": SERVER, "s3_secret": "mlpipeline-minio-artifact"}
    cluster_settings.check_compiled(compiled.config_of(job, {}, {}), "kubeflow")


def test_aws_with_a_role_of_the_pods(tmp_path):
    file = tmp_path / "sample.yaml"
    flags = [*FLAGS, "--pipeline-root", "gs://bkt/root", "--data", "s3://bkt/photos", "--set", "cluster.s3_secret=null"]
    executors, platform = _compile(file, *flags)
    assert not platform
    assert all("AWS_ENDPOINT_URL" not in _variables(container) for container in executors.values())
    assert s3_access.granted(compiled.read(file)) == {"s3_endpoint": None, "s3_secret": None}


def test_cloud_storage_needs_no_access_to_s3(tmp_path):
    file = tmp_path / "sample.yaml"
    executors, platform = _compile(file, *FLAGS, "--pipeline-root", "gs://bkt/root", "--data", "gs://bkt/photos")
    assert not platform and not any(map(_variables, executors.values()))
    job = compiled.read(file)
    s3_access.check(job, compiled.config_of(job, {"data": "gs://bkt/more"}, {}))
    with pytest.raises(UserError, match="compiled without access to S3; compile again with this data"):
        s3_access.check(job, compiled.config_of(job, {"data": "s3://bkt/more"}, {}))
