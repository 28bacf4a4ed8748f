"""Submits a compiled pipeline to Vertex AI, with the credentials of the environment (application default ones)."""

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
from pipeline.cluster import submission
from pipeline.cluster.compiled import Job
from pipeline.cluster.errors import ContactLost, SubmissionFailed
from pipeline.cluster.submission import Fault, Progress, Service
from pipeline.config import Cluster

_ADVICE = {
    401: "log in with 'gcloud auth application-default login', or name a key file in GOOGLE_APPLICATION_CREDENTIALS",
    403: "the account needs the role 'Vertex AI User' in the project, and the project the Vertex AI API",
    404: "check cluster.project and cluster.region",
    429: "wait, or ask for more quota",
}

Client = Any  # the SDK's wrapper of aiplatform_v1.PipelineServiceClient, which is not typed as one


def submit(job: Job, cluster: Cluster, parameters: dict[str, Any], wait: bool) -> int:
    """Starts one run of a compiled pipeline and says where to see it.

    Args:
      job: the PipelineJob that TFX's KubeflowV2DagRunner returns.
      cluster: the project, its region, the pipeline root and the account that the tasks run as.
      parameters: values of the pipeline's runtime parameters.
      wait: stay until the run ends, and print each change of a task's state.

    Returns:
      0 for a run that was started or, with `wait`, succeeded; 1 for one that failed, 130 for one that was stopped.

    Raises:
      UserError: when the job cannot be sent as it is.
      SubmissionFailed: when Vertex AI does not take it.
      ContactLost: when it is not known whether it was taken, or how it goes on.
    """
    with _SERVICE.reported():
        run, client = _prepare(job, cluster, parameters)
    project, region = cluster.project, cluster.region
    job_id = submission.unique(re.sub("[^-0-9a-z]+", "-", job["displayName"].lower()).lstrip("-0123456789") or "run")
    link = f"https://console.cloud.google.com/vertex-ai/locations/{region}/pipelines/runs/{job_id}?project={project}"
    name = _create(client, f"projects/{project}/locations/{region}", job_id, run, link)
    return _SERVICE.started(link, (lambda: _look(client, name)) if wait else None)


def _prepare(job: Job, cluster: Cluster, parameters: dict[str, Any]) -> tuple[aiplatform_v1.PipelineJob, Client]:
    """Returns the request as the SDK builds it, and its client.

    The SDK's own submit() is not used: it also makes missing buckets, and it logs a stack trace where it may not.
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
    """Creates the run under an id that is its alone: sent again, it cannot start a second one. Returns its name."""
    seen: list[BaseException] = []
    create = _SERVICE.retried(seen=seen)(client.create_pipeline_job)
    try:
        create(parent=parent, pipeline_job=run, pipeline_job_id=job_id, timeout=submission.REQUEST_S)
    except Exception as error:
        if seen and isinstance(error, exceptions.Conflict):  # what is there after a fault is what was sent
            return f"{parent}/pipelineJobs/{job_id}"
        unsure = any(fault.taken for fault in map(_read, seen) if fault)
        also = f"; before you submit again, look whether it runs: {link}" if unsure else ""
        with _SERVICE.reported(ContactLost if unsure else SubmissionFailed, also):
            raise
    return f"{parent}/pipelineJobs/{job_id}"


def _look(client: Client, name: str) -> Progress:
    run = _SERVICE.retried()(client.get_pipeline_job)(name=name, timeout=submission.REQUEST_S)
    tasks = {
        str(task.task_id): (task.task_name, task.state.name, task.error.message) for task in run.job_detail.task_details
    }
    return Progress(run.state.name.removeprefix("PIPELINE_STATE_"), run.error.message, tasks)


def _read(error: BaseException) -> Fault | None:
    if isinstance(error, exceptions.GoogleAPICallError):
        text = str(error.message).split(": ", 1)[-1]  # without the address that it begins with
        return Fault(int(error.code or 0), text, taken=error.code != 429)
    if isinstance(error, TransportError):
        return Fault(0, "the server that gives tokens cannot be reached", taken=False)
    if isinstance(error, GoogleAuthError):
        return Fault(401, "no credentials that can be used", taken=False)
    if isinstance(error, requests.RequestException):
        reason = getattr(error.args[0] if error.args else None, "reason", None)
        refused = isinstance(error, (requests.ConnectTimeout, requests.exceptions.ProxyError))
        refused = refused or isinstance(reason, NewConnectionError)
        host = urlsplit(str(error.request.url)).netloc if error.request else "it"
        what = f"{host} cannot be reached" if refused else f"the connection to {host} broke or timed out"
        return Fault(0, what, taken=not refused)
    return None


_SERVICE = Service("Vertex AI", _read, _ADVICE)
