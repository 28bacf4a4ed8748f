"""Gives the tasks of a compiled pipeline access to S3 and MinIO: a server, and credentials from a Kubernetes secret.

The credentials themselves are never in the compiled file. The secret's keys are those of the secret that Kubeflow
Pipelines creates in each namespace, `mlpipeline-minio-artifact`.
"""

from collections.abc import Iterator
from typing import Any

from errors import UserError
from pipeline.config import Cluster, Config
from storage.s3 import SCHEMES

Json = dict[str, Any]
_KEYS = {"accesskey": "AWS_ACCESS_KEY_ID", "secretkey": "AWS_SECRET_ACCESS_KEY"}
_ENDPOINT = "AWS_ENDPOINT_URL"
# boto3's newer checksums are unknown to older S3 servers, such as the MinIO of older releases of Kubeflow Pipelines
_CHECKSUMS = {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required"}


def uses(config: Config, *schemes: str) -> bool:
    """Returns whether a setting is a URI with one of these schemes, by default s3 and minio."""
    text = config.model_dump_json()
    return any(f'"{scheme}://' in text for scheme in schemes or SCHEMES)


def grant(job: Json, cluster: Cluster) -> None:
    """Adds the environment variables and the secret to each task that runs a container."""
    variables = _CHECKSUMS | ({_ENDPOINT: cluster.s3_endpoint} if cluster.s3_endpoint else {})
    for name, container in _containers(job):
        container["env"] = [{"name": key, "value": value} for key, value in variables.items()]
        if cluster.s3_secret:
            kubernetes = job.setdefault("platforms", {}).setdefault("kubernetes", {})
            executors = kubernetes.setdefault("deploymentSpec", {}).setdefault("executors", {})
            keys = [{"secretKey": key, "envVar": variable} for key, variable in _KEYS.items()]
            secret = {"secretName": cluster.s3_secret, "keyToEnv": keys}  # the form that all releases since 2.4 know
            executors.setdefault(name, {})["secretAsEnv"] = [secret]


def granted(job: Json) -> dict[str, str | None] | None:
    """Returns the settings of the section `cluster` that `grant` compiled into a job; None without access."""
    name, container = next(_containers(job), ("", {}))
    variables = {each["name"]: each["value"] for each in container.get("env", ())}
    if not variables.keys() & _CHECKSUMS:
        return None
    executors = job.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    secrets = executors.get(name, {}).get("secretAsEnv", [])
    return {"s3_endpoint": variables.get(_ENDPOINT), "s3_secret": secrets[0]["secretName"] if secrets else None}


def check(job: Json, config: Config) -> None:
    """Checks that the tasks of a compiled pipeline can read the data.

    Raises:
      UserError: when the data is in S3 or MinIO, and the pipeline was compiled without access to them.
    """
    if uses(config) and granted(job) is None:
        raise UserError(
            f"data.directory (--data): expected a bucket of Cloud Storage, received {config.data.directory}: the "
            "pipeline was compiled without access to S3; compile again with this data"
        )


def _containers(job: Json) -> Iterator[tuple[str, Json]]:
    for name, executor in job["pipelineSpec"].get("deploymentSpec", {}).get("executors", {}).items():
        if "container" in executor:
            yield name, executor["container"]
