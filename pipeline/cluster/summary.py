"""What would run where: of a compiled pipeline, a row for each task."""

from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from pipeline.cluster.machines import MACHINES
from pipeline.config import Config


class Task(NamedTuple):
    """A task of a compiled pipeline.

    Attributes:
      name: the task's.
      kind: 'container', 'resolver' or 'importer'.
      after: the tasks that it waits for.
      image: its container's, or ''.
      resources: as 'cpu 4, memory 16Gi'.
    """

    name: str
    kind: str
    after: tuple[str, ...]
    image: str
    resources: str


def tasks(spec: dict[str, Any]) -> list[Task]:
    """Returns the tasks of a PipelineSpec, each after those that it waits for."""
    from pipeline.cluster.launcher.run import in_order

    return [_task(spec, name, after) for name, after in in_order(spec)]


def _task(spec: dict[str, Any], name: str, after: set[str]) -> Task:
    component = spec["components"][spec["root"]["dag"]["tasks"][name]["componentRef"]["name"]]
    ((kind, executor),) = spec["deploymentSpec"]["executors"][component["executorLabel"]].items()
    return Task(name, kind, tuple(sorted(after)), executor.get("image", ""), _resources(executor.get("resources", {})))


def _resources(limits: dict[str, Any]) -> str:
    if not limits:
        return ""
    text = f"cpu {limits['resourceCpuLimit']}, memory {limits['resourceMemoryLimit']}"
    if accelerator := limits.get("accelerator"):
        text += f", {accelerator['resourceCount']} × {accelerator['resourceType']}"
    return text


def show(job: dict[str, Any]) -> None:
    """Prints what would run where."""
    console, table = Console(), Table("task", "image", "resources")
    images = {task.image for task in tasks(job["pipelineSpec"]) if task.image}
    numbers = {image: str(number) for number, image in enumerate(sorted(images), 1)}
    for task in tasks(job["pipelineSpec"]):
        table.add_row(task.name, numbers.get(task.image, task.kind), task.resources or "none")
    console.print(table)
    for image, number in numbers.items():
        console.print(f"image {number}: {image}", highlight=False, markup=False, soft_wrap=True)


def show_machine(config: Config, target: str) -> None:
    """Prints what the Trainer would run on, and of which class its cost is."""
    machine = MACHINES[config.cluster.trainer]
    where = "as a custom job on " if target == "vertex" else "on "
    said = ", ".join(
        str(value) for value in (machine.vertex if target == "vertex" else machine.selector or {}).values()
    )
    Console().print(
        f"Trainer: {where}{config.cluster.trainer} ({said or 'any node'}); list price {machine.cost} $ an hour",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
