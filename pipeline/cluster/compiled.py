"""The file that a cluster takes: written, read again, and changed where that needs no compiling. No TFX is needed."""

import json
from pathlib import Path
from typing import Any

import yaml

from errors import UserError
from pipeline import settings
from pipeline.cluster import images
from pipeline.cluster.parameters import settings_of
from pipeline.cluster.spec import constant, plain
from pipeline.config import Config

Job = dict[str, Any]


def target_of(job: Job) -> str:
    """Returns 'vertex' or 'kubeflow', by the schema that the job is of."""
    return "kubeflow" if job["pipelineSpec"]["schemaVersion"] >= "2.1" else "vertex"


def write(job: Job, path: Path) -> None:
    """Writes the file that the job's target takes, whole or not at all."""
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
    """Returns the PipelineSpec as the API of Kubeflow Pipelines takes it: with what Kubernetes alone knows, if any."""
    if "platforms" not in job:
        return job["pipelineSpec"]
    return {"pipeline_spec": job["pipelineSpec"], "platform_spec": {"platforms": job["platforms"]}}


def read(path: Path) -> Job:
    """Returns the PipelineJob of a compiled file; of one for Kubeflow Pipelines, its `pipelineSpec` and `platforms`.

    Raises:
      UserError: when it is none.
    """
    try:
        document, *more = yaml.safe_load_all(path.read_text())  # JSON is YAML
        job = document if "pipelineSpec" in document else {"pipelineSpec": document, **(more[0] if more else {})}
        config_of(job, {}, {})
    except (OSError, yaml.YAMLError, KeyError, ValueError, AttributeError, TypeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise UserError(f"{path} is no pipeline as 'compile' writes it: {reason}") from None
    return job


def parameters_of(job: Job, given: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of the pipeline's parameters: those that are given, and the defaults of the others.

    Raises:
      UserError: for one that it has not.
    """
    known = job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    if unknown := given.keys() - known:
        raise UserError(
            f"--parameter: expected one that was compiled: {', '.join(known)}; received {', '.join(sorted(unknown))}"
        )
    return _defaults(job) | given


def config_of(job: Job, given: dict[str, Any], changes: dict[str, Any]) -> Config:
    """Returns the settings that a run of the compiled pipeline depends on.

    Args:
      job: as `read` gives it.
      given: values of its parameters, in place of the defaults.
      changes: settings that are not compiled, by dotted key.

    Raises:
      UserError: when the pipeline has no such parameter, or they are not valid.
    """
    return settings.load(changes=_settings(job) | settings_of(parameters_of(job, given)) | changes)


def with_image(job: Job, name: str, root: Path, allow_dirty: bool) -> Job:
    """Returns the job with another image in every container, the Trainer's with the tag of its devices.

    `name`, `root` and `allow_dirty` are what `images.image_of` takes.

    Raises:
      UserError: when it is no image's name, or the job reads a schema that images no longer have.
    """
    schema = job["pipelineSpec"]["root"]["dag"]["tasks"]["ImportSchemaGen"]["inputs"]["parameters"].get("schema_file")
    if schema and "://" not in (place := constant(schema["runtimeValue"])):
        raise UserError(
            f"for another image, expected a file that holds its schema; received one that reads {place} from the "
            "image, which newer images do not have. Compile again"
        )
    job = json.loads(json.dumps(job))
    custom = _custom_config(job)
    common, own = (images.image_of(name, kind, root, allow_dirty) for kind in ("cpu", custom["devices"].lower()))
    executors = job["pipelineSpec"]["deploymentSpec"]["executors"]
    for executor in executors.values():
        if "container" in executor:
            executor["container"]["image"] = common
    if target_of(job) == "kubeflow":
        executors["Trainer_executor"]["container"]["image"] = own
        return job
    for pool in custom["ai_platform_training_args"]["job_spec"]["worker_pool_specs"]:
        pool["container_spec"]["image_uri"] = own
    _custom_config_source(job)["constantValue"]["stringValue"] = json.dumps(custom)
    return job


def worker_pool(job: Job) -> dict[str, Any] | None:
    """Returns what Vertex AI's custom job of the Trainer runs on; None where the Trainer runs in its own task."""
    training = _custom_config(job).get("ai_platform_training_args")  # the keys are TFX's
    return training["job_spec"]["worker_pool_specs"][0] if training else None


def _defaults(job: Job) -> dict[str, Any]:
    inputs = job["pipelineSpec"]["root"]["inputDefinitions"]["parameters"]
    values = {name: definition["defaultValue"] for name, definition in inputs.items() if "defaultValue" in definition}
    of_schema_2_0 = job.get("runtimeConfig", {}).get("parameters", {})
    return values | {name: plain(value) for name, value in of_schema_2_0.items()}


def _settings(job: Job) -> dict[str, Any]:
    spec, custom = job["pipelineSpec"], _custom_config(job)
    cluster = {"pipeline_root": spec["defaultPipelineRoot"]}
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
