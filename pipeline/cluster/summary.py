"""Prints the tasks of a compiled pipeline: image, resources and the Trainer's price."""

from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from lineage.text import safe
from pipeline.cluster import compiled
from pipeline.cluster.compiled import Job
from pipeline.cluster.machines import MACHINES, SPOT_LABEL, Machine


class Task(NamedTuple):
    """A task of a compiled pipeline.

    Attributes:
      name: the task's name.
      kind: 'container', 'custom job', 'resolver' or 'importer'.
      after: the upstream tasks.
      image: the container's image, or ''.
      resources: for example 'cpu 4, memory 16Gi', or the machine of a custom job.
    """

    name: str
    kind: str
    after: tuple[str, ...]
    image: str
    resources: str


def tasks(job: Job) -> list[Task]:
    """Returns the tasks in topological order; for Vertex AI, the Trainer's row describes its custom job."""
    from pipeline.cluster.spec import in_order

    return [_task(job, name, after) for name, after in in_order(job["pipelineSpec"])]


def _task(job: Job, name: str, after: set[str]) -> Task:
    spec = job["pipelineSpec"]
    component = spec["components"][spec["root"]["dag"]["tasks"][name]["componentRef"]["name"]]
    ((kind, executor),) = spec["deploymentSpec"]["executors"][component["executorLabel"]].items()
    image, resources = executor.get("image", ""), _resources(executor.get("resources", {}))
    if name == "Trainer" and (custom := compiled.job_spec(job)):
        pool = custom["worker_pool_specs"][0]
        kind, image = "custom job", pool["container_spec"]["image_uri"]
        resources = f"{_several(custom)}{_machine(pool['machine_spec'])}"
    return Task(name, kind, tuple(sorted(after)), image, resources)


def _several(custom: dict[str, Any]) -> str:
    """Returns 'N × ' for a custom job on N machines, '' for one."""
    machines = sum(pool["replica_count"] for pool in custom["worker_pool_specs"])
    return f"{machines} × " if machines > 1 else ""


def _machine(spec: dict[str, Any]) -> str:
    """Returns a machine_spec of Vertex AI as text, for example 'n1-standard-8, 1 × NVIDIA_TESLA_T4'."""
    words = [spec["machine_type"], spec.get("tpu_topology", "")]
    if "accelerator_type" in spec:
        words.append(f"{spec['accelerator_count']} × {spec['accelerator_type']}")
    return ", ".join(filter(None, words))


def _resources(limits: dict[str, Any]) -> str:
    if not limits:
        return ""
    text = f"cpu {limits['resourceCpuLimit']}, memory {limits['resourceMemoryLimit']}"
    if accelerator := limits.get("accelerator"):
        text += f", {accelerator['resourceCount']} × {accelerator['resourceType']}"
    return text


def show(job: Job) -> None:
    """Prints the tasks with their images and resources, and the Trainer's machine with the range of its list price."""
    console, table = Console(), Table("task", "image", "resources")
    rows = tasks(job)
    numbers = {image: str(number) for number, image in enumerate(sorted({row.image for row in rows if row.image}), 1)}
    for row in rows:
        table.add_row(safe(row.name), numbers.get(row.image, row.kind), safe(row.resources or "none"))
    console.print(table)
    for image, number in numbers.items():
        _print_line(f"image {number}: {image}")
    (trainer,) = (row for row in rows if row.name == "Trainer")
    where = "as a custom job on" if trainer.kind == "custom job" else "on"
    name, cost = _name_and_cost(job)
    _print_line(f"Trainer: {where} {name} ({trainer.resources}){cost}")


def _name_and_cost(job: Job) -> tuple[str, str]:
    """Returns the name in MACHINES of the Trainer's machine, and the text of its list price.

    The text is empty for a task on Kubeflow that selects no nodes, because they may be anybody's.
    """
    custom = compiled.job_spec(job)
    strategy = custom.get("scheduling", {}).get("strategy") if custom else None
    spot = strategy == "SPOT" or SPOT_LABEL in _labels(job)
    for name, machine in MACHINES.items():
        if custom["worker_pool_specs"][0]["machine_spec"] == machine.vertex if custom else _runs_on(job, machine):
            each = " for each machine" if custom and _several(custom) else ""
            price = f"; list price {machine.cost} $ per hour{each}{', less on spot capacity' if spot else ''}"
            return name, price if custom or _labels(job) else ""
    return "a machine of another version of this project", "; list price unknown"


def _runs_on(job: Job, machine: Machine) -> bool:
    """Returns whether the Trainer's task, on Kubeflow, requests this machine."""
    labels = _labels(job) - {SPOT_LABEL}
    limits = job["pipelineSpec"]["deploymentSpec"]["executors"]["Trainer_executor"]["container"]["resources"]
    requested = limits["cpuLimit"], limits["memoryLimit"], dict(labels)
    return requested == (machine.cpu, machine.memory_gb, machine.selector)


def _labels(job: Job) -> set[tuple[str, str]]:
    """Returns the node labels that the Trainer's pod selects on Kubeflow."""
    kubernetes = job.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    selected = (executor.get("nodeSelector", {}).get("labels", {}) for executor in kubernetes.values())
    return {label for labels in selected for label in labels.items()}


def _print_line(line: str) -> None:
    Console().print(safe(line), soft_wrap=True)
