"""Compiles the pipeline for a cluster."""

from typing import Any

from tfx import v1 as tfx
from tfx.orchestration.data_types import RuntimeParameter

from components.bulk import component as bulk
from components.serving_skew import component as serving_skew
from pipeline.cluster import s3_access
from pipeline.cluster.compiled import Job
from pipeline.cluster.machines import SPOT_LABEL, Machine
from pipeline.cluster.parameters import PARAMETERS, defaults
from pipeline.cluster.targets import TARGETS, Target, trainer_image
from pipeline.config import Cluster, Config
from pipeline.nodes import NODES
from pipeline.pipeline import create_pipeline


def compile_job(config: Config, target_name: str) -> Job:
    """Returns the PipelineJob in JSON.

    Args:
      config: the result of `cluster_settings.resolve`.
      target_name: a key of TARGETS.
    """
    target = TARGETS[target_name]
    pipeline = create_pipeline(config, target.environment(config))
    parameters = {stage.name: stage.parameters for stage, _ in NODES}
    for node in pipeline.components:
        for name, key in parameters[node.id].items():
            node.exec_properties[key] = RuntimeParameter(name=name, ptype=PARAMETERS[name].kind)
    experimental = tfx.orchestration.experimental
    options = experimental.KubeflowV2DagRunnerConfig(
        default_image=config.cluster.image,
        default_commands=target.command,
        use_pipeline_spec_2_1=target.schema_2_1,
    )
    runner = experimental.KubeflowV2DagRunner(options)
    job = runner.run(pipeline, parameter_values=defaults(config), write_out=False)
    spec = job["pipelineSpec"]
    spec["defaultPipelineRoot"] = config.cluster.pipeline_root
    _set_defaults(spec, defaults(config), target)
    executors = spec["deploymentSpec"]["executors"]
    for name, task in spec["root"]["dag"]["tasks"].items():
        if container := executors[f"{name}_executor"].get("container"):
            _set_retries(name, task, config.cluster, target)
            container["resources"] = _limits(config.cluster.cpu, config.cluster.memory_gb)
            if "lifecycle" in container and not target.has_driver:
                del container["lifecycle"]
                task.pop("cachingOptions", None)  # without a driver, the cache would not detect changed files
    # the keys of their caches have the URIs, not the content
    uncached = {
        "ImportSchemaGen": isinstance(config.data.schema_file, str),
        serving_skew.STAGE.name: config.serving_skew.kept,
        bulk.STAGE.name: config.bulk.data,
    }
    for name in (name for name, applies in uncached.items() if applies):
        spec["root"]["dag"]["tasks"][name].pop("cachingOptions", None)
    if machine := target.trainer(config.cluster):
        trainer = executors["Trainer_executor"]["container"]
        trainer |= {"image": trainer_image(config.cluster), "resources": _resources_of(machine)}
        if placement := _placement(machine, config.cluster.spot):
            job["platforms"] = {"kubernetes": {"deploymentSpec": {"executors": {"Trainer_executor": placement}}}}
    if s3_access.uses(config):
        s3_access.grant(job, config.cluster)
    return job


def _set_retries(name: str, task: Job, cluster: Cluster, target: Target) -> None:
    # a retry of the task would start a second custom job while the first may still run; Vertex AI retries the job
    waits_for_job = name == "Trainer" and target.trainer(cluster) is None
    task["retryPolicy"] = {
        "maxRetryCount": 0 if waits_for_job else cluster.retries,
        "backoffDuration": "60s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": target.longest_retry,
    }


def _set_defaults(spec: Job, values: dict[str, Any], target: Target) -> None:
    """Writes the defaults into a spec of schema 2.1; for schema 2.0, TFX writes them into the job."""
    if target.schema_2_1:
        for name, parameter in spec["root"]["inputDefinitions"]["parameters"].items():
            parameter |= {"defaultValue": values[name], "isOptional": True}


def _resources_of(machine: Machine) -> Job:
    resources = _limits(machine.cpu, machine.memory_gb)
    if machine.resource:
        count = machine.accelerators
        resources["accelerator"] = {
            "type": machine.resource,
            "count": str(count),
            "resourceType": machine.resource,
            "resourceCount": str(count),
        }
    return resources


def _limits(cpu: float, memory_gb: float) -> Job:
    """Returns limits in two formats: numbers, and the strings of Kubernetes (since Kubeflow Pipelines 2.4)."""
    return {
        "cpuLimit": float(cpu),
        "memoryLimit": float(memory_gb),
        "resourceCpuLimit": f"{cpu:g}",
        "resourceMemoryLimit": f"{memory_gb:g}Gi",
    }


def _placement(machine: Machine, spot: bool) -> Job:
    """Returns the node labels that the Trainer's pod selects, and the taint of spot nodes that it tolerates."""
    key, value = SPOT_LABEL
    labels = (machine.selector or {}) | ({key: value} if spot else {})
    taint = {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
    return ({"nodeSelector": {"labels": labels}} if labels else {}) | ({"tolerations": [taint]} if spot else {})
