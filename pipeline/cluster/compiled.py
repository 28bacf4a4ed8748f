"""Reads and writes compiled pipeline files, and changes their images and parameters. Does not import TFX."""

import json
from pathlib import Path
from typing import Any

import yaml

from errors import UserError
from pipeline import settings
from pipeline.cluster import container_images, s3_access
from pipeline.cluster.parameters import settings_of
from pipeline.cluster.spec import constant, plain
from pipeline.config import Config

Job = dict[str, Any]


def target_of(job: Job) -> str:
    """Returns 'vertex' or 'kubeflow', by the job's schema version."""
    return "kubeflow" if job["pipelineSpec"]["schemaVersion"] >= "2.1" else "vertex"


def write(job: Job, path: Path) -> None:
    """Writes the job's file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text(job))
    part.replace(path)


def text(job: Job) -> str:
    """Returns JSON for Vertex AI, YAML for Kubeflow Pipelines."""
    if target_of(job) == "vertex":
        return json.dumps(job, indent=2, sort_keys=True)
    documents = [job["pipelineSpec"], *([{"platforms": job["platforms"]}] if "platforms" in job else [])]
    return str(yaml.safe_dump_all(documents, sort_keys=True))


def with_platforms(job: Job) -> Job:
    """Returns the PipelineSpec for the API of Kubeflow Pipelines, with the platform-specific part if there is one."""
    if "platforms" not in job:
        return job["pipelineSpec"]
    return {"pipeline_spec": job["pipelineSpec"], "platform_spec": {"platforms": job["platforms"]}}


def read(path: Path) -> Job:
    """Returns the job of a compiled file; for Kubeflow Pipelines, the keys are `pipelineSpec` and `platforms`.

    Raises:
      UserError: when the file is not a compiled pipeline, or a version with other settings compiled it.
    """
    try:
        document, *more = yaml.safe_load_all(path.read_text())  # JSON is YAML
        job = document if "pipelineSpec" in document else {"pipelineSpec": document, **(more[0] if more else {})}
        config_of(job, {}, {})
    except (OSError, yaml.YAMLError, KeyError, ValueError, AttributeError, TypeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise UserError(f"{path} is not a file that 'kubeflow_runner.py compile' writes: {reason}") from None
    except UserError as error:
        raise UserError(f"{path} has settings of another version of this project; compile again: {error}") from None
    return job


def parameters_of(job: Job, values: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of the pipeline's parameters, with defaults for those that are not in `values`.

    Raises:
      UserError: when the pipeline does not have one of the parameters.
    """
    known = job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    if unknown := values.keys() - known:
        raise UserError(
            f"--parameter: expected a parameter of the compiled pipeline ({', '.join(known)}); "
            f"received {', '.join(sorted(unknown))}"
        )
    return _defaults(job) | values


def config_of(job: Job, values: dict[str, Any], changes: dict[str, Any]) -> Config:
    """Returns the settings that a run of the compiled pipeline depends on.

    Args:
      job: the result of `read`.
      values: parameters that differ from the defaults.
      changes: settings that are not compiled, by dotted key.

    Raises:
      UserError: when the pipeline does not have a parameter, or a value is invalid.
    """
    return settings.load(changes=_settings(job) | settings_of(parameters_of(job, values)) | changes)


def with_image(job: Job, name: str, root: Path, allow_dirty: bool) -> Job:
    """Returns a copy of the job with another image in every container; the Trainer's tag depends on its devices.

    `name`, `root` and `allow_dirty` are arguments of `container_images.image_of`.

    Raises:
      UserError: when the image's name is invalid, or the job reads its schema from the image.
    """
    schema = job["pipelineSpec"]["root"]["dag"]["tasks"]["ImportSchemaGen"]["inputs"]["parameters"].get("schema_file")
    if schema and "://" not in (path := constant(schema["runtimeValue"])):
        raise UserError(
            f"cluster.image: expected a compiled file that contains its schema; received a file that reads {path} from "
            "the image, and newer images do not have it. Compile again"
        )
    job = json.loads(json.dumps(job))
    custom = _custom_config(job)
    kinds = ("cpu", custom["devices"].lower())
    common, trainer = (container_images.image_of(name, kind, root, allow_dirty) for kind in kinds)
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    for executor in executors.values():
        if "container" in executor:
            executor["container"]["image"] = common
    if target_of(job) == "kubeflow":
        executors["Trainer_executor"]["container"]["image"] = trainer
        return job
    for pool in custom["ai_platform_training_args"]["job_spec"]["worker_pool_specs"]:
        pool["container_spec"]["image_uri"] = trainer
    _custom_config_source(job)["constantValue"]["stringValue"] = json.dumps(custom)
    return job


def job_spec(job: Job) -> dict[str, Any] | None:
    """Returns the CustomJobSpec of the Trainer on Vertex AI; None if the Trainer runs in its own task."""
    training = _custom_config(job).get("ai_platform_training_args")  # the keys are TFX's
    return training["job_spec"] if training else None


def _defaults(job: Job) -> dict[str, Any]:
    inputs = job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    values = {name: definition["defaultValue"] for name, definition in inputs.items() if "defaultValue" in definition}
    of_schema_2_0 = job.get("runtimeConfig", {}).get("parameters", {})
    return values | {name: plain(value) for name, value in of_schema_2_0.items()}


def _settings(job: Job) -> dict[str, Any]:
    spec, custom = job["pipelineSpec"], _custom_config(job)
    cluster = {"pipeline_root": spec["defaultPipelineRoot"], **(s3_access.granted(job) or {})}
    if target_of(job) == "vertex":  # the keys are TFX's (tfx.extensions.google_cloud_ai_platform)
        training = custom["ai_platform_training_args"]
        cluster |= {"project": training["project"], "region": custom["ai_platform_vertex_region"]}
        cluster["service_account"] = training["job_spec"].get("service_account")
    return {"name": spec["pipelineInfo"]["name"], "cluster": cluster, **custom["recipe"]}


def _custom_config(job: Job) -> dict[str, Any]:
    return json.loads(constant(_custom_config_source(job)))


def _custom_config_source(job: Job) -> dict[str, Any]:
    trainer = job["pipelineSpec"]["root"]["dag"]["tasks"]["Trainer"]
    return trainer["inputs"]["parameters"]["custom_config"]["runtimeValue"]
