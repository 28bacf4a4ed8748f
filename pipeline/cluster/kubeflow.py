"""Submits a compiled pipeline to Kubeflow Pipelines.

The token's file is read for each request (`lineage.remote.token`). kfp.Client reads all other environment variables
itself.
"""

import json
import os
import re
from collections.abc import Collection
from typing import Any

import kfp
import kfp_server_api
from google.api_core.exceptions import RetryError
from kfp.client.token_credentials_base import TokenCredentialsBase
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

from lineage.remote import calls, rest, token
from lineage.remote.calls import Fault
from pipeline.cluster import submission
from pipeline.cluster.compiled import Job, with_platforms
from pipeline.cluster.errors import ContactLost, SubmissionFailed
from pipeline.cluster.submission import Progress, Service
from pipeline.config import Cluster
from storage import certificates

_ADVICE = {
    401: f"name a file with a valid token in {token.VARIABLE}",
    403: "allow the account to create runs",
    404: "check cluster.endpoint: expected the part of the UI's address before '/#/'",
}
_GO_FRAME = re.compile(r"\n\S+\n\t\S+")  # the server's errors with status 500 contain stack traces


class _RunNotListed(Exception):
    """The submitted run is not in the list of runs."""


class _Client(kfp.Client):
    """A client without kfp's own retries. These do not wait, and print a stack trace for each of the first five."""

    def _load_config(self, *args: Any) -> kfp_server_api.Configuration:
        config = super()._load_config(*args)
        config.retries = False
        return config

    def get_kfp_healthz(self, sleep_duration: int = 5) -> kfp_server_api.V2beta1GetHealthzResponse:
        get = _SERVICE.retry(calls.at_first_contact)(self.healthzs.healthz_service_get_healthz)
        return get(_request_timeout=_timeout())


class _Token(TokenCredentialsBase):
    """Gives the token to kfp's client before each request."""

    def refresh_api_key_hook(self, config: kfp_server_api.Configuration) -> None:
        config.api_key["authorization"] = token.read()


def submit(job: Job, cluster: Cluster, experiment: str, parameters: dict[str, Any], wait: bool) -> int:
    """Starts a run of a compiled pipeline and prints its link.

    Args:
      job: the PipelineSpec of schema 2.1, and its platforms, if any.
      cluster: the address, the namespace (for several users), and the pipeline root.
      experiment: the experiment's name; it is created if it does not exist.
      parameters: values of the pipeline's runtime parameters.
      wait: wait until the run ends, and print each change of a task's state.

    Returns:
      0 if the run was started or, with `wait`, succeeded; 1 if it failed, 130 if it was stopped or paused.

    Raises:
      SubmissionFailed: when Kubeflow Pipelines does not accept the run.
      ContactLost: when it is unknown whether the run was accepted, or what its state is.
    """
    with _SERVICE.translate_errors(SubmissionFailed):
        client = _connect(str(cluster.endpoint))
        # 409: another client has just created the experiment
        retry = _SERVICE.retry(lambda fault: calls.at_first_contact(fault) or fault.status == 409)
        experiment_id = retry(_experiment)(client, experiment, cluster.namespace or client.get_user_namespace())
    body = {
        "experiment_id": experiment_id,
        "display_name": submission.unique_name(job["pipelineSpec"]["pipelineInfo"]["name"]),
        "pipeline_spec": with_platforms(job),
        "runtime_config": {"pipeline_root": cluster.pipeline_root, "parameters": parameters},
    }
    runs = f"{str(cluster.endpoint).rstrip('/')}/#/runs"
    run_id, tasks = _create(client, body, runs), job["pipelineSpec"]["root"]["dag"]["tasks"]
    return _SERVICE.follow(f"{runs}/details/{run_id}", (lambda: _progress(client, run_id, tasks)) if wait else None)


def _connect(endpoint: str) -> kfp.Client:
    certificates.check(endpoint)
    authority = os.environ.get(certificates.VARIABLE)  # which kfp does not read
    return _Client(host=endpoint, credentials=_Token() if token.read() else None, ssl_ca_cert=authority)


def _experiment(client: kfp.Client, name: str, namespace: str) -> str:
    """Returns the id of the experiment with this name; creates the experiment if it does not exist."""
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

    The API does not accept an id from the client, so a request that may have been processed is not sent again.
    Instead, the run is looked up by its name. A 503 may come from a gateway, so it does not show whether the
    server got the request.
    """
    retry = _SERVICE.retry(lambda fault: fault.transient and not fault.maybe_processed)
    try:
        return retry(client.runs.run_service_create_run)(body, _request_timeout=_timeout()).run_id
    except Exception as error:
        fault = _SERVICE.fault(error)
        if fault is None or not (fault.transient and fault.maybe_processed):
            with _SERVICE.translate_errors(SubmissionFailed):
                raise
    try:
        return _SERVICE.retry()(_find)(client, body)
    except (RetryError, kfp_server_api.ApiException, HTTPError):
        advice = f"before you submit again, check whether {body['display_name']} is running: {runs}"
        raise ContactLost(f"{_SERVICE.message(fault)}; {advice}") from None


def _find(client: kfp.Client, body: dict[str, Any]) -> str:
    runs = client.runs.run_service_list_runs(
        experiment_id=body["experiment_id"], filter=_named(body["display_name"]), _request_timeout=_timeout()
    ).runs
    if not runs:
        raise _RunNotListed
    return runs[0].run_id


def _progress(client: kfp.Client, run_id: str, names: Collection[str]) -> Progress:
    """Returns the state of the run and of the tasks with these names; the API also lists the workflow and its pods."""
    run = _SERVICE.retry()(client.runs.run_service_get_run)(run_id=run_id, _request_timeout=_timeout())
    details = (run.run_details and run.run_details.task_details) or []
    tasks = {
        task.task_id: (task.display_name, task.state, task.error.message if task.error else "")
        for task in details
        if task.state and task.display_name in names
    }
    return Progress(run.state or "", run.error.message if run.error else "", tasks)


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": 1, "key": "display_name", "stringValue": name}]})  # 1: equals


def _timeout() -> tuple[float, float]:
    return calls.REQUEST_S, calls.REQUEST_S


def _read(error: BaseException) -> Fault | None:
    if cause := _tls_error(error):
        return rest.tls_fault(cause, "the server")
    if isinstance(error, kfp_server_api.ApiException):
        return Fault(error.status or 0, _text(error), maybe_processed=error.status != 429)
    if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
        connection = error.conn if isinstance(error, NewConnectionError) else error.args[0]
        return Fault(
            0,
            f"cannot reach {connection.host}:{connection.port}; check the address and its port-forward",
            maybe_processed=False,
        )
    if isinstance(error, HTTPError):
        return Fault(0, "the connection broke or timed out", maybe_processed=True)
    if isinstance(error, _RunNotListed):
        return Fault(0, "the run is not listed", maybe_processed=True)
    if isinstance(error, token.Unusable):
        return Fault(calls.NO_LOGIN, str(error), maybe_processed=False)
    return None


def _tls_error(error: BaseException | None) -> SSLError | None:
    """Returns the SSLError behind an error: kfp's client raises AttributeError while it handles an SSLError."""
    while error and not isinstance(error, SSLError):
        error = error.__context__
    return error if isinstance(error, SSLError) else None


def _text(error: kfp_server_api.ApiException) -> str:
    """Returns the server's message without stack frames and without the headers, which may contain cookies."""
    try:
        return _GO_FRAME.sub("", json.loads(error.body)["message"])
    except (KeyError, TypeError, ValueError):
        return str(error.reason)


_SERVICE = Service("Kubeflow Pipelines", _read, _ADVICE)
