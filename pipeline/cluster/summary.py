"""Prints the tasks of a compiled pipeline: image, resources and the Trainer's price."""

from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from lineage.text import safe
from pipeline.cluster import compiled
from pipeline.cluster.compiled import Job
from pipeline.cluster.machines import MACHINES, Machine


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
    if name == "Trainer" and (pool := compiled.worker_pool(job)):
        kind, image = "custom job", pool["container_spec"]["image_uri"]
        resources = _machine(pool["machine_spec"])
    return Task(name, kind, tuple(sorted(after)), image, resources)


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
    """Prints the tasks with their images and resources, and the range of the Trainer's list price."""
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
    _print_line(f"Trainer: {where} {name} ({trainer.resources}); list price {cost}")


def _name_and_cost(job: Job) -> tuple[str, str]:
    """Returns the name in MACHINES of the Trainer's machine, and the range of its list price."""
    pool = compiled.worker_pool(job)
    for name, machine in MACHINES.items():
        if pool["machine_spec"] == machine.vertex if pool else _runs_on(job, machine):
            return name, f"{machine.cost} $ per hour"
    return "a machine of another version of this project", "unknown"


def _runs_on(job: Job, machine: Machine) -> bool:
    """Returns whether the Trainer's task, on Kubeflow, requests this machine."""
    kubernetes = job.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    labels: dict[str, Any] = {}
    for executor in kubernetes.values():
        labels |= executor.get("nodeSelector", {}).get("labels", {})
    limits = job["pipelineSpec"]["deploymentSpec"]["executors"]["Trainer_executor"]["container"]["resources"]
    return (limits["cpuLimit"], limits["memoryLimit"], labels) == (machine.cpu, machine.memory_gb, machine.selector)


def _print_line(line: str) -> None:
    Console().print(safe(line), soft_wrap=True)
