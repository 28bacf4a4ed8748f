"""What Vertex AI and Kubeflow Pipelines refuse of a submission, with their answers."""

from typing import Any

from google.cloud.aiplatform_v1 import PipelineJob
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

_FRAMES = "\ngithub.com/a/b/util.Wrap\n\t/home/error.go:361\nmain.(*Server).create\n\t/home/run.go:71"  # of Go


class Refused(Exception):
    """An error answer of the service: a status and a text."""


def check_pipeline_job(job: dict[str, Any]) -> None:
    """Makes checks of Vertex AI."""
    try:
        json_format.ParseDict(job, PipelineJob.pb(PipelineJob()))
        spec = json_format.ParseDict(job["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
    except (KeyError, json_format.ParseError) as error:
        raise Refused(400, f"Invalid PipelineJob: {error}") from None
    root = job["runtimeConfig"]["gcsOutputDirectory"]
    if not root.startswith("gs://"):
        raise Refused(400, f"Invalid gcs_output_directory: {root}. It must be a Cloud Storage path, gs://…")
    for name, task in sorted(spec.root.dag.tasks.items()):
        component = spec.components[task.component_ref.name]
        if component.executor_label not in spec.deployment_spec["executors"]:
            raise Refused(400, f"The executor of task {name} is not in the deployment spec.")


def check_run(run: dict[str, Any], experiments: dict[str, Any]) -> None:
    """Makes the checks of the API server, with the answers of its version 2.17.0."""
    if run["experiment_id"] not in experiments:
        raise Refused(404, f"Failed to create a new run: Experiment {run['experiment_id']} not found")
    invalid = "Failed to create a new run: InternalServerError: Failed to create a run due to error fetching manifest: "
    invalid += "Failed to fetch a template with an invalid pipeline spec manifest: InvalidInputError: "
    content = run["pipeline_spec"]
    platforms = content.get("platform_spec", {})  # if present, the spec is one level deeper (model_converter.go)
    try:
        spec = json_format.ParseDict(content.get("pipeline_spec", content), pipeline_spec_pb2.PipelineSpec())
        json_format.ParseDict(platforms, pipeline_spec_pb2.PlatformSpec())
    except json_format.ParseError as error:
        raise Refused(500, f"{invalid}invalid v2 pipeline spec: {error}: pipeline spec is invalid") from None
    if spec.schema_version != "2.1.0":
        version = f"KFP only supports schema version 2.1.0, but the pipeline spec has version {spec.schema_version}"
        raise Refused(500, f"{invalid}{version}: pipeline spec is invalid")
    executors = json_format.MessageToDict(spec.deployment_spec)["executors"]
    for name, component in sorted(spec.components.items()):
        if not {"container", "importer"} & set(executors[component.executor_label]):
            text = f'error processing component name="{name}": executor(label="{component.executor_label}"): '
            text += f"non-container and non-importer executor not implemented\nFailed to compile job{_FRAMES}"
            raise Refused(500, f"Internal error: {text}\nFailed to generate the ExecutionSpec{_FRAMES}")
