"""Submits a compiled pipeline to Kubeflow Pipelines.

The token's file is read for each request (`lineage.remote.token`). kfp.Client reads all other environment variables
itself.
"""

import json
import os
import re
from collections.abc import Callable, Collection
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
    **dict.fromkeys(rest.NOT_AN_API, token.ADVICE),
    401: f"name a file with a valid token in {token.VARIABLE}",
    403: "allow the account to create runs",
    404: "check cluster.endpoint: expected the part of the UI's address before '/#/'",
}
_GO_FRAME = re.compile(r"\n\S+\n\t\S+")  # the server's errors with status 500 contain stack traces


class _RunNotListed(Exception):
    """The submitted run is not in the list of runs."""


class _NotTheApi(Exception):
    """An answer that is not from the API of Kubeflow Pipelines; the text says what it is."""


class _Client(kfp.Client):
    """A client without kfp's own retries. These do not wait, and print a stack trace for each of the first five."""

    def _load_config(self, *args: Any) -> kfp_server_api.Configuration:
        config = super()._load_config(*args)
        config.retries = False
        return config

    def get_kfp_healthz(self, sleep_duration: int = 5) -> kfp_server_api.V2beta1GetHealthzResponse:
        return _SERVICE.retry(calls.at_first_contact)(_ask)(self.healthzs.healthz_service_get_healthz)


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
    found = _ask(api.experiment_service_list_experiments, filter=_named(name), namespace=namespace).experiments
    if found:
        return _value(found[0], "experiment_id")
    body = {"display_name": name, "namespace": namespace}
    return _value(_ask(api.experiment_service_create_experiment, body), "experiment_id")


def _create(client: kfp.Client, body: dict[str, Any], runs: str) -> str:
    """Creates the run and returns its id.

    The API does not accept an id from the client, so a request that may have been processed is not sent again.
    Instead, the run is looked up by its name. A 503 may come from a gateway, so it does not show whether the
    server got the request.
    """
    retry = _SERVICE.retry(lambda fault: fault.transient and not fault.maybe_processed)
    try:
        return _value(retry(_ask)(client.runs.run_service_create_run, body), "run_id")
    except Exception as error:
        fault = _SERVICE.fault(error)
        unclear = fault and fault.maybe_processed and (fault.transient or fault.status == 200)
        if fault is None or not unclear:
            with _SERVICE.translate_errors(SubmissionFailed):
                raise
    try:
        return _SERVICE.retry()(_find)(client, body)
    except (RetryError, kfp_server_api.ApiException, HTTPError, _NotTheApi):
        advice = f"before you submit again, check whether {body['display_name']} is running: {runs}"
        raise ContactLost(f"{_SERVICE.message(fault)}; {advice}") from None


def _find(client: kfp.Client, body: dict[str, Any]) -> str:
    listed = {"experiment_id": body["experiment_id"], "filter": _named(body["display_name"])}
    runs = _ask(client.runs.run_service_list_runs, **listed).runs
    if not runs:
        raise _RunNotListed
    return _value(runs[0], "run_id")


def _progress(client: kfp.Client, run_id: str, names: Collection[str]) -> Progress:
    """Returns the state of the run and of the tasks with these names; the API also lists the workflow and its pods."""
    run = _SERVICE.retry()(_ask)(client.runs.run_service_get_run, run_id=run_id)
    _value(run, "run_id")
    details = (run.run_details and run.run_details.task_details) or []
    tasks = {
        task.task_id: (task.display_name, task.state, task.error.message if task.error else "")
        for task in details
        if task.state and task.display_name in names
    }
    return Progress(run.state or "", run.error.message if run.error else "", tasks)


def _named(name: str) -> str:
    return json.dumps({"predicates": [{"operation": 1, "key": "display_name", "stringValue": name}]})  # 1: equals


def _ask(request: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Returns the answer to a request of kfp's client, which makes an empty answer of any page or text.

    Raises:
      _NotTheApi: when the answer is not a JSON object, or has other types than the API's.
    """
    timeout = calls.REQUEST_S, calls.REQUEST_S
    try:
        answer = request(*arguments, **options, _request_timeout=timeout)
        content = json.loads(request.__self__.api_client.last_response.data)  # type: ignore[attr-defined]
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise _NotTheApi(rest.NOT_JSON) from error
    if not isinstance(content, dict):
        raise _NotTheApi(rest.NOT_JSON)
    return answer


def _value(answer: Any, name: str) -> str:
    """Returns a value that each answer of the API has."""
    if not (value := getattr(answer, name)):
        raise _NotTheApi(f"JSON without {name}, so not the API of Kubeflow Pipelines")
    return str(value)


def _read(error: BaseException) -> Fault | None:
    # kfp's client may raise another error while it handles one of these
    if cause := _behind(error, SSLError):
        return rest.tls_fault(cause, "the server")
    if refused := _behind(error, kfp_server_api.ApiException):
        return Fault(refused.status, _text(refused), maybe_processed=refused.status != 429)
    if isinstance(error, _NotTheApi):
        return Fault(200, str(error), maybe_processed=True)
    if isinstance(error, (NewConnectionError, ConnectTimeoutError)):
        connection = error.conn if isinstance(error, NewConnectionError) else error.args[0]
        return Fault(
            0,
            f"cannot reach {connection.host}:{connection.port}; check the address and its port-forward",
            maybe_processed=False,
        )
    if fault := rest.protocol_fault(error, "the server"):
        return fault
    if isinstance(error, HTTPError):
        return Fault(0, "the connection broke or timed out", maybe_processed=True)
    if isinstance(error, _RunNotListed):
        return Fault(0, "the run is not listed", maybe_processed=True)
    if isinstance(error, token.Unusable):
        return Fault(calls.NO_LOGIN, str(error), maybe_processed=False)
    return None


def _behind(error: BaseException | None, kind: type[Exception]) -> Any:
    """Returns an error, or the one in whose handling it was raised, that is of this type; None if there is none."""
    while error and not isinstance(error, kind):
        error = error.__context__
    return error


def _text(error: kfp_server_api.ApiException) -> str:
    """Returns the server's message without stack frames and without the headers, which may contain cookies."""
    if error.status in rest.NOT_AN_API and "Location" in error.headers:
        return rest.redirect(error.headers["Location"])
    try:
        return _GO_FRAME.sub("", json.loads(error.body)["message"])
    except (KeyError, TypeError, ValueError):
        return str(error.reason)


_WAITING = "no change for 5 minutes; pods that wait for a node or an image: kubectl get pods -n NAMESPACE (kubeflow)"
_SERVICE = Service("Kubeflow Pipelines", _read, _ADVICE, _WAITING)
