"""Predicts photos in Cloud Storage with the model of an endpoint: `kubeflow_runner.py endpoint batch`."""

import sys
from typing import Any

from google.cloud.aiplatform import initializer, utils

from components import endpoint as deployment
from errors import UserError, quoted
from lineage.remote import calls
from pipeline.cluster import submission
from pipeline.cluster.endpoints import Endpoint
from pipeline.cluster.errors import ContactLost, SubmissionFailed
from pipeline.cluster.submission import Progress
from pipeline.cluster.vertex import SERVICE
from pipeline.exit_codes import FAILED, INTERRUPTED

_NAME = 100  # characters of the endpoint's name in the job's name, which may have 128


def start(endpoint: Endpoint, photos: str, to: str, wait: bool) -> int:
    """Starts a batch prediction job with the model that gets most requests, and prints its name, model and link.

    The job runs on `max_replica_count` machines of the deployed model's type: a batch prediction job does not scale.

    Args:
      endpoint: the endpoint whose model predicts.
      photos: the gs:// URI of a text file with the gs:// URI of a photo in each line.
      to: the gs:// URI of the folder in which the job makes a folder of JSON lines.
      wait: wait until the job ends, and print each change of its state and counts.

    Returns:
      0 if the job was started or, with `wait`, predicted all photos; 1 if it did not, 130 if it was stopped or paused.

    Raises:
      UserError: when no model of the endpoint gets requests.
      SubmissionFailed: when Vertex AI does not accept the job.
      ContactLost: when it is unknown whether the job was accepted, or what its state is.
    """
    parent, _, _ = endpoint.found.name.partition("/endpoints/")
    request = _request(endpoint, photos, to)
    with SERVICE.translate_errors(SubmissionFailed):
        client = initializer.global_config.create_client(client_class=utils.JobClientWithOverride)
    latest = _create(client, parent, request)
    machines = request["dedicated_resources"]
    count, kind = machines["max_replica_count"], machines["machine_spec"].machine_type
    print(f"{latest.name}: {_state(latest).lower()}, model {request['model'].rpartition('/')[2]} on {count} × {kind}")

    def progress() -> Progress:
        nonlocal latest
        latest = SERVICE.retry()(client.get_batch_prediction_job)(name=latest.name, timeout=calls.REQUEST_S)
        return Progress(_state(latest), latest.error.message, {"job": ("photos", _counts(latest), "")})

    link = _link(latest.name)
    try:
        code = SERVICE.follow(link, progress if wait else None)
    except KeyboardInterrupt:
        print(f"kubeflow_runner.py: interrupted; the job continues: {link}", file=sys.stderr)
        return INTERRUPTED
    return _print_output(latest, code)


def _request(endpoint: Endpoint, photos: str, to: str) -> dict[str, Any]:
    """Returns the job, as a BatchPredictionJob of the API."""
    model = max(reversed(endpoint.models), key=endpoint.share, default=None)
    if model is None or not endpoint.share(model):
        received = f"received {quoted(endpoint.found.display_name)} without one; divide its requests"
        raise UserError(f"expected an endpoint with a model that gets requests, {received}")
    replicas = model.dedicated_resources.max_replica_count
    return {
        "display_name": submission.unique_name(endpoint.found.display_name[:_NAME]),
        "model": endpoint.version(model),
        "service_account": model.service_account,
        "input_config": {"instances_format": "file-list", "gcs_source": {"uris": [photos]}},
        "output_config": {"predictions_format": "jsonl", "gcs_destination": {"output_uri_prefix": to}},
        "dedicated_resources": {
            "machine_spec": model.dedicated_resources.machine_spec,
            "starting_replica_count": replicas,
            "max_replica_count": replicas,
        },
    }


def _create(client: Any, parent: str, request: dict[str, Any]) -> Any:
    """Creates the job and returns it.

    The API does not accept an id from the client, so a request that may have been processed is not sent again.
    Instead, the job is looked up by its name.
    """
    retry = SERVICE.retry(lambda fault: fault.transient and not fault.maybe_processed)
    try:
        create = retry(client.create_batch_prediction_job)
        return create(parent=parent, batch_prediction_job=request, timeout=calls.REQUEST_S)
    except Exception as error:
        fault = SERVICE.fault(error)
        if fault is None or not (fault.transient and fault.maybe_processed):
            with SERVICE.translate_errors(SubmissionFailed):
                raise
    name = request["display_name"]
    advice = (
        f"before you start the job again, check whether {name} is running: {_link(f'{parent}/batchPredictionJobs/')}"
    )
    with SERVICE.translate_errors(ContactLost, f"; {advice}"):
        found = SERVICE.retry()(deployment.find)(client.list_batch_prediction_jobs, parent, name)
    if found is None:
        raise ContactLost(f"{SERVICE.message(fault)}; {advice}")
    return found


def _link(name: str) -> str:
    """Returns the address of a job, or of all jobs, in the console."""
    _, project, _, region, _, job = name.split("/")
    return f"https://console.cloud.google.com/vertex-ai/locations/{region}/batch-predictions/{job}?project={project}"


def _state(job: Any) -> str:
    return str(job.state.name).removeprefix("JOB_STATE_")


def _counts(job: Any) -> str:
    """Returns the job's state and its numbers of photos, for example 'running, 12 predicted, 1 failed'."""
    stats = job.completion_stats
    parts = [_state(job), f"{stats.successful_count} predicted", f"{stats.failed_count} failed"]
    if stats.incomplete_count:
        count = "an unknown number" if stats.incomplete_count < 0 else str(stats.incomplete_count)
        parts.append(f"{count} not processed")
    return ", ".join(parts)


def _print_output(job: Any, code: int) -> int:
    """Prints where the predictions are, and which photos have none; returns the exit code, which is then not 0."""
    folder, stats = job.output_info.gcs_output_directory, job.completion_stats
    if folder:
        print(f"predictions: {folder}")
    if not (stats.failed_count or stats.incomplete_count):
        return code
    for failure in job.partial_failures:
        print(" ".join(str(failure.message).split()))
    print(f"photos without a prediction; their errors are in the files *errors* of {folder or 'the output folder'}")
    return code or FAILED
