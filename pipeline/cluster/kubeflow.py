"""Submits a compiled pipeline to Kubeflow Pipelines.

A token is read from the file that KF_PIPELINES_SA_TOKEN_PATH names, again for each request; what else the environment
may hold, kfp.Client looks for itself.
"""

import json
import os
import re
from typing import Any

import kfp
import kfp_server_api
from google.api_core.exceptions import RetryError
from kfp.client import KF_PIPELINES_SA_TOKEN_ENV, ServiceAccountTokenVolumeCredentials
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from pipeline.cluster import submission
from pipeline.cluster.compiled import Job, with_platforms
from pipeline.cluster.errors import ContactLost
from pipeline.cluster.submission import Fault, Progress, Service
from pipeline.config import Cluster

_ADVICE = {
    401: f"name a file with a valid token in {KF_PIPELINES_SA_TOKEN_ENV}",
    403: "the account needs to be allowed to create runs",
    404: "check cluster.endpoint: it is the address of Kubeflow Pipelines, as its UI has it before '/#/'",
}
_POD = re.compile(r"root|executor|executor\(\d+\)|.*-driver(\(\d+\))?")  # in the list of tasks too


class _NotSeen(Exception):
    """The run that was sent is not in the list."""


class _Client(kfp.Client):
    """kfp's own tries each request again at once, and the first five times with a stack trace for each."""

    def _load_config(self, *args: Any) -> kfp_server_api.Configuration:
        config = super()._load_config(*args)
        config.retries = False
        return config

    def get_kfp_healthz(self, sleep_duration: int = 5) -> kfp_server_api.V2beta1GetHealthzResponse:
        return _SERVICE.retried()(self.healthzs.healthz_service_get_healthz)(_request_timeout=_timeout())


def submit(job: Job, cluster: Cluster, experiment: str, parameters: dict[str, Any], wait: bool) -> int:
    """Starts one run of a compiled pipeline and says where to see it.

    Args:
      job: its PipelineSpec, schema 2.1, and its platforms, if any.
      cluster: the address, the namespace, where there are several users, and the pipeline root.
      experiment: its name; it is made if there is none.
      parameters: values of the pipeline's runtime parameters.
      wait: stay until the run ends, and print each change of a task's state.

    Returns:
      0 for a run that was started or, with `wait`, succeeded; 1 for one that failed, 130 for one that was stopped.

    Raises:
      SubmissionFailed: when Kubeflow Pipelines does not take it.
      ContactLost: when it is not known whether it was taken, or how it goes on.
    """
    with _SERVICE.reported():
        client = _connect(str(cluster.endpoint))
        again = _SERVICE.retried(lambda fault: fault.transient or fault.status == 409)  # 409: another made it just now
        experiment_id = again(_experiment)(client, experiment, cluster.namespace or client.get_user_namespace())
    body = {
        "experiment_id": experiment_id,
        "display_name": submission.unique(job["pipelineSpec"]["pipelineInfo"]["name"]),
        "pipeline_spec": with_platforms(job),
        "runtime_config": {"pipeline_root": cluster.pipeline_root, "parameters": parameters},
    }
    runs = f"{str(cluster.endpoint).rstrip('/')}/#/runs"
    run_id = _create(client, body, runs)
    return _SERVICE.started(f"{runs}/details/{run_id}", (lambda: _look(client, run_id)) if wait else None)


def _connect(endpoint: str) -> kfp.Client:
    token = ServiceAccountTokenVolumeCredentials() if os.environ.get(KF_PIPELINES_SA_TOKEN_ENV) else None
    return _Client(host=endpoint, credentials=token)


def _experiment(client: kfp.Client, name: str, namespace: str) -> str:
    """Returns the id of the experiment of this name, made if there is none."""
    api = client.experiments
    found = api.experiment_service_list_experiments(
        filter=_named(name), namespace=namespace, _request_timeout=_timeout()
    ).experiments
    if found:
        return found[0].experiment_id
    body = {"display_name": name, "namespace": namespace}
    return api.experiment_service_create_experiment(body, _request_timeout=_timeout()).experiment_id


def _create(client: kfp.Client, body: dict[str, Any], runs: str) -> str:
    """Creates the run and returns its id.

    The API takes no id of ours, so what may have been acted on is not sent again: the run is looked for by its name.
    A 503 may be a gateway's, of which the server behind it knows nothing.
    """
    create = _SERVICE.retried(lambda fault: fault.transient and not fault.taken)(client.runs.run_service_create_run)
    try:
        return create(body, _request_timeout=_timeout()).run_id
    except Exception as error:
        fault = _SERVICE.fault(error)
        if fault is None or not (fault.transient and fault.taken):
            with _SERVICE.reported():
                raise
    try:
        return _SERVICE.retried()(_find)(client, body)
    except (RetryError, kfp_server_api.ApiException, HTTPError):
        also = f"before you submit again, look whether {body['display_name']} runs: {runs}"
        raise ContactLost(f"{_SERVICE.sentence(fault)}; {also}") from None


def _find(client: kfp.Client, body: dict[str, Any]) -> str:
    runs = client.runs.run_service_list_runs(
        experiment_id=body["experiment_id"], filter=_named(body["display_name"]), _request_timeout=_timeout()
    ).runs
    if not runs:
        raise _NotSeen
    return runs[0].run_id


def _look(client: kfp.Client, run_id: str) -> Progress:
    run = _SERVICE.retried()(client.runs.run_service_get_run)(run_id=run_id, _request_timeout=_timeout())
    details = (run.run_details and run.run_details.task_details) or []
    tasks = {
        task.task_id: (task.display_name, task.state, task.error.message if task.error else "")
        for task in details
        if task.state and not _POD.fullmatch(task.display_name)
    }
    return Progress(run.state or "", run.error.message if run.error else "", tasks)


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": 1, "key": "display_name", "stringValue": name}]})  # 1: equals


def _timeout() -> tuple[float, float]:
    return submission.REQUEST_S, submission.REQUEST_S


def _read(error: BaseException) -> Fault | None:
    if isinstance(error, kfp_server_api.ApiException):
        return Fault(error.status or 0, _text(error), taken=error.status != 429)
    if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
        connection = error.conn if isinstance(error, NewConnectionError) else error.args[0]
        return Fault(
            0,
            f"{connection.host}:{connection.port} cannot be reached; check the address and its port-forward",
            taken=False,
        )
    if isinstance(error, HTTPError):
        return Fault(0, "the connection broke or timed out", taken=True)
    if isinstance(error, _NotSeen):
        return Fault(0, "the run is not listed", taken=True)
    if isinstance(error, OSError) and error.filename:
        return Fault(401, f"the token cannot be read: {error}", taken=False)
    return None


def _text(error: kfp_server_api.ApiException) -> str:
    """Returns what the server says of its refusal, without the headers, which may hold cookies."""
    try:
        return str(json.loads(error.body)["message"])
    except (KeyError, TypeError, ValueError):
        return str(error.reason)


_SERVICE = Service("Kubeflow Pipelines", _read, _ADVICE)
