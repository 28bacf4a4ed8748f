"""Executes a workflow as Argo's controller does: the part of Argo that Kubeflow Pipelines' compiler uses."""

import re
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Start = Callable[[str, Json], tuple[int, dict[str, str]]]  # the node's name, the template: exit code, output parameters
_TAG = re.compile(r"{{([\w.-]+)}}")


class Workflow:
    """A workflow that the API server created.

    Args:
      workflow: the object from Kubernetes.
      start: runs the pod of a template.

    Attributes:
      nodes: the names of the nodes whose pods ran, in order, with the number of attempts.
    """

    def __init__(self, workflow: Json, start: Start) -> None:
        self.nodes: dict[str, int] = {}
        spec, metadata = workflow["spec"], workflow["metadata"]
        self._start, self._templates = start, {each["name"]: each for each in spec["templates"]}
        self._values = {f"workflow.{key}": metadata[key] for key in ("name", "uid", "creationTimestamp")}
        for parameter in spec["arguments"]["parameters"]:
            self._values[f"workflow.parameters.{parameter['name']}"] = parameter["value"]
        self._template(spec["entrypoint"], {}, "")

    def _template(self, name: str, arguments: dict[str, str], node: str) -> dict[str, str]:
        """Runs a template and returns its output parameters. Raises AssertionError if a pod fails."""
        template = self._templates[name]
        values = dict(self._values)
        for given in template.get("inputs", {}).get("parameters", []):
            values[f"inputs.parameters.{given['name']}"] = arguments.get(given["name"], given.get("default"))
        if "dag" in template:
            self._dag(template["dag"]["tasks"], values, node)
            return {}
        for output in template.get("outputs", {}).get("parameters", []):
            values[f"outputs.parameters.{output['name']}.path"] = output["valueFrom"]["path"]
        attempts = 1 + int(_filled(template.get("retryStrategy", {}).get("limit", 0), values))
        for attempt in range(attempts):
            self.nodes[node] = attempt + 1
            code, outputs = self._start(node, _filled(template, values | {"retries": str(attempt)}))
            if code == 0:
                return outputs
        raise AssertionError(f"{node} failed {attempts} times, last with exit code {code}")

    def _dag(self, tasks: list[Json], values: dict[str, str], node: str) -> None:
        waiting, done = {task["name"]: task for task in tasks}, set[str]()
        while waiting:
            name = next(name for name, task in waiting.items() if _dependencies(task) <= done)
            task = waiting.pop(name)
            arguments = {each["name"]: _filled(each["value"], values) for each in task["arguments"]["parameters"]}
            left, _, right = _filled(task.get("when", "true != false"), values).partition(" != ")
            if left != right:
                outputs = self._template(task["template"], arguments, node if name == "executor" else name)
                values |= {f"tasks.{name}.outputs.parameters.{key}": value for key, value in outputs.items()}
            done.add(name)


def _dependencies(task: Json) -> set[str]:
    return set(re.findall(r"([\w-]+)\.Succeeded", task.get("depends", "")))


def _filled(value: Any, values: dict[str, str]) -> Any:
    """Returns a template with values instead of tags. Tags in the values are not replaced."""
    if isinstance(value, dict):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return _TAG.sub(lambda match: values[match[1]], value) if isinstance(value, str) else value
