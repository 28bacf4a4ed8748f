"""Kubernetes objects that serve a pushed model: a Deployment with its Service, or KServe's InferenceService."""

from typing import Any, NamedTuple

Json = dict[str, Any]

# The version of the package tensorflow-serving-api in requirements/lock-new.txt. KServe 0.20 would start 2.6.2.
TF_SERVING = "2.19.1"
REST, GRPC = 8501, 8500  # TensorFlow Serving's ports
_MOUNT = "/models"
_KSERVE_MOUNT = "/mnt/models"  # where KServe's runtime of TensorFlow Serving looks for versions
_USER = 1000  # of the project's image, and of KServe's runtime
_LOCKED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}


class Settings(NamedTuple):
    """What is served, and how.

    Attributes:
      name: the name of the objects, and of the model in URLs.
      model: gs://…, s3://… or pvc://CLAIM/FOLDER: the folder of the versions, or of one version.
      image: the server's image; of KServe's, the runtime has it.
      namespace: the objects' namespace; None for the namespace of `kubectl apply`.
      service_account: the pods' service account; None for the namespace's default.
      replicas: the number of pods.
      cpu: cores of a pod.
      memory_gb: memory of a pod, in GiB.
      canary: the share of the requests in percent for this version, with KServe; None for all.
    """

    name: str
    model: str
    image: str
    namespace: str | None
    service_account: str | None
    replicas: int
    cpu: float
    memory_gb: float
    canary: int | None


def inference_service(settings: Settings) -> list[Json]:
    """Returns KServe's InferenceService, which starts TensorFlow Serving.

    One version is mounted in a folder with its number, because TensorFlow Serving looks for numbered folders.
    """
    version = settings.model.rpartition("/")[2]
    model: Json = {
        "modelFormat": {"name": "tensorflow", "version": "2"},
        "runtimeVersion": TF_SERVING,
        "resources": _resources(settings),
        "securityContext": _LOCKED,
    }
    predictor: Json = {"minReplicas": settings.replicas, "maxReplicas": settings.replicas}
    if settings.canary is not None:
        predictor["canaryTrafficPercent"] = settings.canary
    if settings.service_account:
        predictor["serviceAccountName"] = settings.service_account
    if version.isdecimal():
        predictor["storageUris"] = [{"uri": settings.model, "mountPath": f"{_KSERVE_MOUNT}/{version}"}]
    else:
        model["storageUri"] = settings.model
    spec = {"predictor": predictor | {"model": model}}
    return [_object("serving.kserve.io/v1beta1", "InferenceService", settings, spec)]


def tensorflow_serving(settings: Settings) -> list[Json]:
    """Returns a Deployment of TensorFlow Serving, and its Service."""
    arguments = [f"--model_name={settings.name}", f"--model_base_path={_folder(settings)}"]
    container = {
        "command": ["/usr/bin/tensorflow_model_server"],
        "args": [f"--rest_api_port={REST}", f"--port={GRPC}", *arguments],
        "ports": _ports("containerPort"),
        "startupProbe": _startup(f"/v1/models/{settings.name}"),
        "readinessProbe": _http(f"/v1/models/{settings.name}"),
        "livenessProbe": {"tcpSocket": {"port": "rest"}},
    }
    return _deployed(settings, container)


def own_server(settings: Settings) -> list[Json]:
    """Returns a Deployment of `python -m serving` in the project's image, and its Service."""
    arguments = ["--model", _folder(settings), "--name", settings.name]
    container = {
        "command": ["python", "-m", "serving"],
        "args": [*arguments, "--host", "0.0.0.0", "--port", str(REST), "--grpc-port", str(GRPC)],  # noqa: S104
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108
        "ports": _ports("containerPort"),
        "startupProbe": _startup("/readyz"),
        "readinessProbe": _http("/readyz"),
        "livenessProbe": _http("/healthz"),
    }
    return _deployed(settings, container)


def _deployed(settings: Settings, container: Json) -> list[Json]:
    volumes: list[Json] = [{"name": "tmp", "emptyDir": {}}]
    mounts: list[Json] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    if claim := _claim(settings.model):
        volumes.append({"name": "models", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}})
        mounts.append({"name": "models", "mountPath": _MOUNT, "readOnly": True})
    whole = {"name": "server", "image": settings.image, **container}
    whole |= {"resources": _resources(settings), "securityContext": _LOCKED, "volumeMounts": mounts}
    pod: Json = {
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [whole],
        "volumes": volumes,
    }
    if settings.service_account:
        pod["serviceAccountName"] = settings.service_account
    labels = _labels(settings)
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": settings.replicas, "selector": {"matchLabels": labels}, "template": template}
    service = {"selector": labels, "ports": _ports("port")}
    return [_object("apps/v1", "Deployment", settings, spec), _object("v1", "Service", settings, service)]


def _object(version: str, kind: str, settings: Settings, spec: Json) -> Json:
    metadata: Json = {"name": settings.name, "labels": _labels(settings)}
    if settings.namespace:
        metadata["namespace"] = settings.namespace
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def _labels(settings: Settings) -> Json:
    return {"app.kubernetes.io/name": settings.name}


def _resources(settings: Settings) -> Json:
    """Returns requests that equal the limits: KServe's runtime would add its own limits, which may be lower."""
    amounts = {"cpu": f"{settings.cpu:g}", "memory": f"{settings.memory_gb:g}Gi"}
    return {"requests": amounts, "limits": amounts}


def _folder(settings: Settings) -> str:
    """Returns the folder of the versions as the container sees it."""
    claim = _claim(settings.model)
    return _MOUNT + settings.model.removeprefix(f"pvc://{claim}") if claim else settings.model


def _claim(model: str) -> str | None:
    scheme, _, rest = model.partition("://")
    return rest.partition("/")[0] if scheme == "pvc" else None


def _ports(key: str) -> list[Json]:
    return [{"name": "rest", key: REST}, {"name": "grpc", key: GRPC}]


def _http(path: str) -> Json:
    return {"httpGet": {"path": path, "port": "rest"}, "timeoutSeconds": 5}


def _startup(path: str) -> Json:
    return _http(path) | {"periodSeconds": 5, "failureThreshold": 120}  # ten minutes, to download and load the model
