"""The pods of a compiled pipeline: as Kubeflow Pipelines' backend makes them, and as our tables say."""

import re
from typing import Any

from pipeline.cluster.compiled import Job
from pipeline.cluster.machines import MACHINES
from pipeline.cluster.targets import TARGETS
from pipeline.config import Cluster

Pod = dict[str, Any]


def of_backend(result: dict[str, Any]) -> dict[str, Pod]:
    """Returns each task's pod from the output of backend/main.go."""
    retries = _retries(result["workflow"]["spec"])
    return {name: _pod(patch, retries.get(name)) for name, patch in result["pods"].items()}


def _pod(patch: dict[str, Any], retry: dict[str, Any] | None) -> Pod:
    """Returns a pod without the launcher's part: its flags, and the arguments that TFX makes."""
    (container,) = patch["containers"]
    pod = {**container, "args": container["args"][:3], "retry": retry}
    pod |= {key: value for key, value in patch.items() if key != "containers"}
    return {key: value for key, value in pod.items() if key not in ("name", "command") and value}


def _retries(spec: dict[str, Any]) -> dict[str, Any]:
    """Returns each task's retry strategy."""
    templates = {template["name"]: template for template in spec["templates"]}
    return {
        task["name"]: _strategy(templates, task, {})
        for template in templates.values()
        for task in _tasks(template)
        if "pod-spec-patch" in _arguments(task)
    }


def _strategy(templates: dict[str, Any], task: dict[str, Any], outer: dict[str, Any]) -> dict[str, Any] | None:
    """Returns the retry strategy of a task's template, or of a template in it, with the values of its parameters."""
    template, values = templates[task["template"]], _filled(_arguments(task), outer)
    if strategy := template.get("retryStrategy"):
        return dict(_filled(strategy, values))
    return next((_strategy(templates, inner, values) for inner in _tasks(template)), None)


def _tasks(template: dict[str, Any]) -> list[dict[str, Any]]:
    return list(template.get("dag", {}).get("tasks", []))


def _arguments(task: dict[str, Any]) -> dict[str, Any]:
    return {item["name"]: item.get("value") for item in task.get("arguments", {}).get("parameters", [])}


def _filled(value: Any, values: dict[str, Any]) -> Any:
    """Returns the value with the values of a template's parameters; numbers become text."""
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    match = re.fullmatch(r"{{inputs\.parameters\.(.*)}}", str(value))
    return values.get(match[1], value) if match else str(value)


def expected(job: Job, cluster: Cluster) -> dict[str, Pod]:
    """Returns each task's pod according to the settings and the table of machines."""
    names = job["pipelineSpec"]["root"]["dag"]["tasks"]
    machine = MACHINES[cluster.trainer]
    trainer = _expected(cluster, machine.cpu, machine.memory_gb)
    if machine.resource:
        trainer["image"] += f"-{machine.kind}"
        trainer["resources"]["limits"][machine.resource] = str(machine.accelerators)
        trainer["nodeSelector"] = dict(machine.selector or {})
    if cluster.spot:
        trainer.setdefault("nodeSelector", {})["cloud.google.com/gke-spot"] = "true"
        taint = {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
        trainer["tolerations"] = [taint]
    return {**dict.fromkeys(names, _expected(cluster, cluster.cpu, cluster.memory_gb)), "Trainer": trainer}


def _expected(cluster: Cluster, cpu: float, memory_gb: float) -> Pod:
    longest = TARGETS["kubeflow"].longest_retry.removesuffix("s")
    return {
        **({"env": _environment(cluster)} if cluster.s3_endpoint else {}),
        "image": cluster.image,
        "args": ["python", "-m", "pipeline.cluster.task"],
        "resources": {"limits": {"cpu": f"{cpu:g}", "memory": f"{memory_gb:g}Gi"}},
        "retry": {
            "limit": str(cluster.retries),
            "backoff": {"duration": "60", "factor": "2", "maxDuration": longest},
        },
    }


def _environment(cluster: Cluster) -> list[dict[str, Any]]:
    """Returns the variables for S3: two settings of boto3, the server, and the keys of the secret."""
    plain = {
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        "AWS_ENDPOINT_URL": cluster.s3_endpoint,
    }
    secret = {"AWS_ACCESS_KEY_ID": "accesskey", "AWS_SECRET_ACCESS_KEY": "secretkey"}
    references = {name: {"secretKeyRef": {"name": cluster.s3_secret, "key": key}} for name, key in secret.items()}
    return [
        *({"name": name, "value": value} for name, value in plain.items()),
        *({"name": name, "valueFrom": reference} for name, reference in references.items()),
    ]
