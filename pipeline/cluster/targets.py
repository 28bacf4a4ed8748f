"""The differences between Vertex AI and Kubeflow Pipelines.

Vertex AI accepts a PipelineJob of schema 2.0 in JSON. Kubeflow Pipelines accepts a PipelineSpec of schema 2.1 in YAML
(its backend rejects 2.0), and supports neither resolvers nor ExampleGen's driver.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import BaseChannel

from components import baseline, schema_gen, trainer
from pipeline.cluster.machines import MACHINES, Machine
from pipeline.config import Cluster, Config
from pipeline.nodes import Environment
from pipeline.schema_file import check_schema


class Target(NamedTuple):
    """A kind of cluster.

    Attributes:
      schema_2_1: whether the service accepts schema 2.1, without a PipelineJob.
      has_driver: whether ExampleGen's driver runs. The driver detects new data and prevents a stale cache hit.
      longest_retry: backoffMaxDuration. Vertex AI: the longest pause between retries. Kubeflow (Argo): the time from
        the task's first start until it is stopped, even if an attempt is running.
      command: the container's command; None is TFX's default.
      environment: returns the parts of the pipeline that depend on the target.
      trainer: returns the machine of the Trainer's task; None if the task only waits for a custom job.
    """

    schema_2_1: bool
    has_driver: bool
    longest_retry: str
    command: tuple[str, ...] | None
    environment: Callable[[Config], Environment]
    trainer: Callable[[Cluster], Machine | None]


def trainer_image(cluster: Cluster) -> str:
    """Returns the Trainer's image; its tag ends with '-tpu' or '-gpu' for these devices."""
    kind = MACHINES[cluster.trainer].kind
    return str(cluster.image) if kind == "cpu" else f"{cluster.image}-{kind}"


def _vertex(config: Config) -> Environment:
    cluster = config.cluster
    job = partial(
        trainer.on_vertex,
        project=str(cluster.project),
        region=str(cluster.region),
        image=trainer_image(cluster),
        machine=MACHINES[cluster.trainer].vertex,
        workers=cluster.workers,
        spot=cluster.spot,
        service_account=cluster.service_account,
    )
    return Environment(
        root=str(cluster.pipeline_root),
        checkpoints=None,
        devices=MACHINES[cluster.trainer].kind.upper(),
        schema=_schema(config),
        trainer=job,
        baseline=lambda candidate: baseline.latest_blessed_model(),
        deployment=_deployment(config),
        command=_submit("vertex", cluster, f"--project {cluster.project} --region {cluster.region}"),
    )


def _deployment(config: Config) -> dict[str, Any] | None:
    """Returns the settings of the endpoint to which Pusher deploys the model; None without an endpoint."""
    cluster = config.cluster
    if cluster.deployment.endpoint is None:
        return None
    values = cluster.model_dump(include={"project", "region", "service_account"})
    return cluster.deployment.model_dump() | values | {"name": config.name}


def _kubeflow(config: Config) -> Environment:
    def pushed(candidate: BaseChannel) -> BaseNode:
        return baseline.LatestPushedModel(candidate=candidate, pushed=str(config.pusher.directory))

    return Environment(
        root=str(config.cluster.pipeline_root),
        checkpoints=f"{config.cluster.pipeline_root}/checkpoints",  # outside the artifacts, which the launcher copies
        devices=MACHINES[config.cluster.trainer].kind.upper(),
        schema=_schema(config),
        baseline=pushed,
        command=_submit("kubeflow", config.cluster, "--endpoint http://HOST:PORT"),
    )


def _schema(config: Config) -> Callable[[str], BaseNode]:
    """Returns a function that creates the schema node; a local schema file becomes part of the compiled pipeline."""
    schema = config.data.schema_file
    if isinstance(schema, str):
        return schema_gen.schema_gen
    text = check_schema(schema, config.data.classes).read_text(encoding="utf-8")
    return lambda _: schema_gen.schema_from_text(text)


def _submit(target: str, cluster: Cluster, service: str) -> str:
    """Returns the report's rerun command. The report's settings have no `cluster` section, so flags replace it."""
    return (
        f"python kubeflow_runner.py submit --target {target} --config settings.yaml --image REGISTRY/NAME {service} "
        f"--pipeline-root {cluster.pipeline_root} --set cluster.trainer={cluster.trainer}"
    )


TARGETS = {
    "vertex": Target(
        schema_2_1=False,
        has_driver=True,
        longest_retry="600s",
        command=None,
        environment=_vertex,
        trainer=lambda cluster: None,
    ),
    "kubeflow": Target(
        schema_2_1=True,
        has_driver=False,
        longest_retry="604800s",
        command=("python", "-m", "pipeline.cluster.task"),
        environment=_kubeflow,
        trainer=lambda cluster: MACHINES[cluster.trainer],
    ),
}
