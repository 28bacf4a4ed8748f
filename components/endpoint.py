"""Deploys a pushed model to an endpoint of Vertex AI; the caller translates Google's errors."""

from collections.abc import Callable
from typing import Any

from google.cloud import aiplatform
from google.cloud.aiplatform import utils

ENDPOINT, MODEL, DEPLOYED = "endpoint", "endpoint_model", "deployed_model"  # properties of the pushed model
_NEW = "0"  # in a request, the id of the model that the request deploys
_WAIT_S = 3600  # until machines are started; Vertex AI gives up earlier
Shares = dict[str, int]


def clients(project: str, region: str) -> tuple[Any, Any]:
    """Returns the SDK's clients of endpoints and of models, over REST with Application Default Credentials."""
    aiplatform.init(project=project, location=region, api_transport="rest")
    create = aiplatform.initializer.global_config.create_client
    return create(client_class=utils.EndpointClientWithOverride), create(client_class=utils.ModelClientWithOverride)


def find(listed: Callable[..., Any], parent: str, name: str) -> Any | None:
    """Returns the first resource with a display name that a client's method lists, or None."""
    return next(iter(listed(request={"parent": parent, "filter": f'display_name="{name}"'})), None)


def deploy(folder: str, settings: dict[str, Any]) -> dict[str, str]:
    """Uploads a model as a new version, deploys it, and returns the names to record.

    The endpoint and the model are those with the names of the settings, and are created if they are missing. The model
    gets `traffic` percent of the requests; an endpoint without models sends it all.

    Args:
      folder: the SavedModel, in Cloud Storage.
      settings: `project`, `region`, `name` (of the model), `service_account`, and the settings of `cluster.deployment`.

    Raises:
      GoogleAPICallError: when Vertex AI refuses a request.
    """
    endpoints, models = clients(settings["project"], settings["region"])
    parent = f"projects/{settings['project']}/locations/{settings['region']}"
    endpoint = find(endpoints.list_endpoints, parent, settings["endpoint"])
    if endpoint is None:
        created = endpoints.create_endpoint(parent=parent, endpoint={"display_name": settings["endpoint"]})
        endpoint = created.result(timeout=_WAIT_S)
    model = _upload(models, parent, folder, settings)
    request = {
        "endpoint": endpoint.name,
        "deployed_model": {
            "model": model,
            "display_name": folder.rpartition("/")[2],
            "service_account": settings["service_account"] or "",
            "dedicated_resources": {
                "machine_spec": {"machine_type": settings["machine_type"]},
                "min_replica_count": settings["min_replicas"],
                "max_replica_count": settings["max_replicas"],
            },
        },
        "traffic_split": shares(dict(endpoint.traffic_split), _NEW, settings["traffic"]),
    }
    done = endpoints.deploy_model(request=request).result(timeout=_WAIT_S)
    return {ENDPOINT: endpoint.name, MODEL: model, DEPLOYED: done.deployed_model.id}


def _upload(models: Any, parent: str, folder: str, settings: dict[str, Any]) -> str:
    """Returns the name of the new version, as …/models/ID@VERSION."""
    earlier = find(models.list_models, parent, settings["name"])
    model = {
        "display_name": settings["name"],
        "artifact_uri": folder,
        "container_spec": {"image_uri": settings["image"]},
        "version_description": folder,
    }
    request = {"parent": parent, "model": model, "parent_model": earlier.name if earlier else ""}
    done = models.upload_model(request=request).result(timeout=_WAIT_S)
    return f"{done.model}@{done.model_version_id}"


def shares(now: Shares, new: str, percent: int) -> Shares:
    """Returns percentages that add up to 100: `percent` for `new`, and the rest for the others in their proportions.

    Without others, `new` gets 100. The largest remainders are rounded up.

    >>> shares({"a": 75, "b": 25}, "0", 10), shares({}, "0", 10)
    ({'a': 68, 'b': 22, '0': 10}, {'0': 100})
    """
    others = {key: share for key, share in now.items() if share and key != new}
    if not others:
        return {new: 100}
    rest, total = 100 - percent, sum(others.values())
    result = {key: rest * share // total for key, share in others.items()}
    by_remainder = sorted(others, key=lambda key: -(rest * others[key] % total))
    for key in by_remainder[: rest - sum(result.values())]:
        result[key] += 1
    return result | {new: percent}
