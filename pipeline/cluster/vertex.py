"""Submits a compiled pipeline to Vertex AI with Application Default Credentials."""

import json
import re
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud import aiplatform, aiplatform_v1
from google.protobuf.json_format import ParseError
from urllib3.exceptions import NewConnectionError

from errors import UserError
from lineage.remote import calls
from lineage.remote.calls import Fault
from pipeline.cluster import submission
from pipeline.cluster.compiled import Job
from pipeline.cluster.errors import ContactLost, SubmissionFailed
from pipeline.cluster.submission import Progress, Service
from pipeline.config import Cluster
from storage import certificates

_ADVICE = {
    401: "log in with 'gcloud auth application-default login', or name a key file in GOOGLE_APPLICATION_CREDENTIALS",
    403: "give the account the role 'Vertex AI User' in the project, and enable the Vertex AI API",
    404: "check cluster.project and cluster.region",
    429: "wait, or ask for more quota",
}

Client = Any  # the SDK's wrapper of aiplatform_v1.PipelineServiceClient, which has no types


def submit(job: Job, cluster: Cluster, parameters: dict[str, Any], wait: bool) -> int:
    """Starts a run of a compiled pipeline and prints its link.

    Args:
      job: the PipelineJob that TFX's KubeflowV2DagRunner returns.
      cluster: the project, the region, the pipeline root and the service account of the tasks.
      parameters: values of the pipeline's runtime parameters.
      wait: wait until the run ends, and print each change of a task's state.

    Returns:
      0 if the run was started or, with `wait`, succeeded; 1 if it failed, 130 if it was stopped or paused.

    Raises:
      UserError: when the SDK cannot build a request from the job.
      SubmissionFailed: when Vertex AI does not accept the run.
      ContactLost: when it is unknown whether the run was accepted, or what its state is.
    """
    certificates.check()
    with SERVICE.translate_errors(SubmissionFailed):
        run, client = _build_request(job, cluster, parameters)
    project, region = cluster.project, cluster.region
    prefix = re.sub("[^-0-9a-z]+", "-", job["displayName"].lower()).lstrip("-0123456789") or "run"
    job_id = submission.unique_name(prefix)
    link = f"https://console.cloud.google.com/vertex-ai/locations/{region}/pipelines/runs/{job_id}?project={project}"
    name = _create(client, f"projects/{project}/locations/{region}", job_id, run, link)
    return SERVICE.follow(link, (lambda: _progress(client, name)) if wait else None)


def _build_request(job: Job, cluster: Cluster, parameters: dict[str, Any]) -> tuple[aiplatform_v1.PipelineJob, Client]:
    """Returns the SDK's request and client.

    The SDK's submit() is not used, because it creates missing buckets. If the account may not create
    them, it logs a stack trace.
    """
    try:
        aiplatform.init(project=cluster.project, location=cluster.region, api_transport="rest")
        with tempfile.TemporaryDirectory() as folder:
            template = Path(folder) / "pipeline.json"
            template.write_text(json.dumps(job))
            built = aiplatform.PipelineJob(
                display_name=job["displayName"],
                template_path=str(template),
                pipeline_root=cluster.pipeline_root,
                parameter_values=parameters,
            )
    except (ParseError, TypeError, ValueError) as error:
        raise UserError(f"the pipeline cannot be sent to Vertex AI: {error}") from None
    run = aiplatform_v1.PipelineJob(
        display_name=job["displayName"],
        pipeline_spec=built.pipeline_spec,
        runtime_config=built.runtime_config,
        service_account=cluster.service_account,
        labels=job.get("labels"),
    )
    return run, built.api_client


def _create(client: Client, parent: str, job_id: str, run: aiplatform_v1.PipelineJob, link: str) -> str:
    """Creates the run and returns its name; a retry cannot start a second run, because the id is unique."""
    errors: list[BaseException] = []
    create = SERVICE.retry(calls.at_first_contact, errors)(client.create_pipeline_job)
    try:
        create(parent=parent, pipeline_job=run, pipeline_job_id=job_id, timeout=calls.REQUEST_S)
    except Exception as error:
        if errors and isinstance(error, exceptions.Conflict):  # an earlier attempt created the run
            return f"{parent}/pipelineJobs/{job_id}"
        maybe_started = any(fault.maybe_processed for fault in map(_read, errors) if fault)
        advice = f"; before you submit again, check whether the run exists: {link}" if maybe_started else ""
        with SERVICE.translate_errors(ContactLost if maybe_started else SubmissionFailed, advice):
            raise
    return f"{parent}/pipelineJobs/{job_id}"


def _progress(client: Client, name: str) -> Progress:
    run = SERVICE.retry()(client.get_pipeline_job)(name=name, timeout=calls.REQUEST_S)
    tasks = {
        str(task.task_id): (task.task_name, task.state.name, task.error.message) for task in run.job_detail.task_details
    }
    return Progress(run.state.name.removeprefix("PIPELINE_STATE_"), run.error.message, tasks)


def _read(error: BaseException) -> Fault | None:
    if isinstance(error, exceptions.GoogleAPICallError):
        text = str(error.message).split(": ", 1)[-1]  # the message begins with the request's address
        return Fault(int(error.code or 0), text, maybe_processed=error.code != 429)
    if isinstance(error, TransportError):
        return Fault(0, "cannot reach the OAuth token server", maybe_processed=False)
    if isinstance(error, GoogleAuthError):
        return Fault(calls.NO_LOGIN, "found no usable credentials", maybe_processed=False)
    if isinstance(error, requests.RequestException):
        reason = getattr(error.args[0] if error.args else None, "reason", None)
        refused = isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError))
        refused = refused or isinstance(reason, NewConnectionError)
        host = urlsplit(str(error.request.url)).netloc if error.request else "the service"
        text = f"cannot reach {host}" if refused else f"the connection to {host} broke or timed out"
        return Fault(0, text, maybe_processed=not refused)
    return None


SERVICE = Service("Vertex AI", _read, _ADVICE)
