"""Shows an endpoint of Vertex AI and divides its requests: `kubeflow_runner.py endpoint`."""

from typing import Any, NamedTuple

from components import endpoint as deployment
from errors import UserError, quoted
from lineage.remote import calls
from pipeline.cluster.errors import SubmissionFailed
from pipeline.cluster.vertex import SERVICE


class Endpoint(NamedTuple):
    """An endpoint, and the SDK's client of endpoints."""

    client: Any
    found: Any

    @property
    def models(self) -> list[Any]:
        """The deployed models, in the order of their deployment."""
        return sorted(self.found.deployed_models, key=lambda each: each.create_time)

    def share(self, model: Any) -> int:
        """Returns the percentage of the requests that a deployed model gets."""
        return int(self.found.traffic_split.get(model.id, 0))

    @staticmethod
    def version(model: Any) -> str:
        """Returns the name of a deployed model's version, as …/models/ID@VERSION."""
        name, _, version = model.model.partition("@")
        return f"{name}@{model.model_version_id or version}"


def find(name: str, project: str, region: str) -> Endpoint:
    """Returns the endpoint with a display name.

    Raises:
      UserError: when there is none.
      SubmissionFailed: when Vertex AI refuses the request.
    """
    parent = f"projects/{project}/locations/{region}"
    with SERVICE.translate_errors(SubmissionFailed):
        client, _ = deployment.clients(project, region)
        found = deployment.find(SERVICE.retry(calls.at_first_contact)(client.list_endpoints), parent, name)
    if found is None:
        raise UserError(f"expected an endpoint of {project} in {region}, received {quoted(name)}; check its name")
    return Endpoint(client, found)


def show(endpoint: Endpoint) -> None:
    """Prints each deployed model with its percentage of the requests, the latest last."""
    print(endpoint.found.name)
    for model in endpoint.models:
        version = endpoint.version(model).rpartition("/")[2]
        print(f"{endpoint.share(model):>4} %  {model.id}  version {model.display_name}  model {version}")


def divide(endpoint: Endpoint, shares: dict[str, int]) -> Endpoint:
    """Sets the percentages of all models in one request; models that `shares` does not name get none.

    Raises:
      UserError: when a model is not deployed, or the percentages do not add up to 100.
      SubmissionFailed: when Vertex AI refuses the request, or the endpoint has changed since `find`.
    """
    known = [model.id for model in endpoint.models]
    if unknown := [each for each in shares if each not in known]:
        raise UserError(f"expected deployed models of ({', '.join(known)}), received {quoted(', '.join(unknown))}")
    if sum(shares.values()) != 100 or min(shares.values()) < 0:
        raise UserError(f"expected percentages that add up to 100, received {sum(shares.values())}")
    changed = {"name": endpoint.found.name, "traffic_split": shares, "etag": endpoint.found.etag}
    with SERVICE.translate_errors(SubmissionFailed):
        found = endpoint.client.update_endpoint(
            endpoint=changed, update_mask={"paths": ["traffic_split"]}, timeout=calls.REQUEST_S
        )
    return endpoint._replace(found=found)


def roll_back(endpoint: Endpoint) -> Endpoint:
    """Sends all requests to the model before the latest one that has requests.

    Raises:
      UserError: when there is no earlier model.
      SubmissionFailed: see `divide`.
    """
    models = endpoint.models
    serving = [number for number, model in enumerate(models) if endpoint.share(model)]
    if not serving or not serving[-1]:
        raise UserError("expected a model that was deployed before the latest with requests, received none")
    return divide(endpoint, {models[serving[-1] - 1].id: 100})


def undeploy(endpoint: Endpoint) -> int:
    """Undeploys the models without requests, which releases their machines, and returns their number.

    Raises:
      SubmissionFailed: when Vertex AI refuses a request; earlier models are then undeployed.
    """
    idle = [model for model in endpoint.models if not endpoint.share(model)]
    for model in idle:
        with SERVICE.translate_errors(SubmissionFailed):
            request = {"endpoint": endpoint.found.name, "deployed_model_id": model.id}
            endpoint.client.undeploy_model(request=request).result(timeout=calls.ANSWER_S)
        print(f"undeployed {model.id}, version {model.display_name}")
    return len(idle)
