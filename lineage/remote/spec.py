"""Reads a PipelineSpec in JSON, of schema 2.0 (Vertex AI) or 2.1 (Kubeflow Pipelines)."""

import json
from typing import Any

from trainer.features import CHANGEABLE, THRESHOLDS, setting_value

Json = dict[str, Any]
KINDS = {"intValue": int, "doubleValue": float, "stringValue": str}  # types of values in schema 2.0
_REPORT = "Report"  # the task whose parameters have the run's settings and the digest of its code
# the setting that each parameter of a compiled pipeline replaces
SETTINGS = {"data": "data.directory", **CHANGEABLE, **{name: f"evaluator.{name}" for name in THRESHOLDS}}


def constant(source: Json) -> Any:
    """Returns the value of a constant of either schema."""
    return source["constant"] if "constant" in source else plain(source["constantValue"])


def plain(value: Json) -> Any:
    """Returns a value of schema 2.0 as a Python value: 3 for {'intValue': '3'}."""
    ((kind, content),) = value.items()
    return KINDS[kind](content)


def tasks_of(spec: Json) -> Json:
    """Returns the tasks of the pipeline by name, in the spec's order."""
    return spec.get("root", {}).get("dag", {}).get("tasks", {})


def defaults(spec: Json) -> Json:
    """Returns the default values of the pipeline's parameters, which a spec of schema 2.1 contains."""
    inputs = spec.get("root", {}).get("inputDefinitions", {}).get("parameters", {})
    return {name: each["defaultValue"] for name, each in inputs.items() if "defaultValue" in each}


def parameters(spec: Json, task: str, values: Json) -> Json:
    """Returns the parameters of a task: constants, and the values of the pipeline's parameters."""
    found = {}
    for name, source in tasks_of(spec).get(task, {}).get("inputs", {}).get("parameters", {}).items():
        runtime = source.get("runtimeValue", {})
        parameter = source.get("componentInputParameter", runtime.get("runtimeParameter"))
        if parameter in values:
            found[name] = values[parameter]
        elif "constant" in runtime or "constantValue" in runtime:
            found[name] = constant(runtime)
    return found


def executor_class(spec: Json, task: str) -> str:
    """Returns the class that executes a task; '' if it is unknown. It ends with '.Resolver' for a resolver."""
    component = tasks_of(spec).get(task, {}).get("componentRef", {}).get("name")
    label = spec.get("components", {}).get(component, {}).get("executorLabel")
    executor = spec.get("deploymentSpec", {}).get("executors", {}).get(label, {})
    if "resolver" in executor:
        return "tfx.dsl.components.common.resolver.Resolver"
    words = executor.get("container", {}).get("args", [])
    return words[words.index("--executor_class_path") + 1] if "--executor_class_path" in words[:-1] else ""


def type_name(title: str) -> str:
    """Returns the name that ML Metadata has for an artifact type, given its title or the YAML of its schema.

    >>> type_name("title: tfx.Examples\\ntype: object\\n"), type_name("tfx.Model"), type_name("components.PhotoTable")
    ('Examples', 'Model', 'components.PhotoTable')
    """
    lines = [line.partition(":")[2].strip() for line in title.splitlines() if line.startswith("title:")]
    return (lines or [title])[0].removeprefix("tfx.")


def facts_of_run(spec: Json, values: Json) -> dict[str, str]:
    """Returns the `pipeline`, the `settings` (JSON) and the `code` of a run, as far as the spec has them."""
    found = {"pipeline": spec.get("pipelineInfo", {}).get("name", "")}
    report = parameters(spec, _REPORT, values)
    settings = _settings(report.get("settings"), values)
    if settings is not None:
        found["settings"] = json.dumps(settings)
    if isinstance(report.get("code"), str):
        found["code"] = report["code"]
    return found


def _settings(text: Any, values: Json) -> Json | None:
    """Returns the settings with the values of the pipeline's parameters; None if another program wrote the text."""
    try:
        settings = json.loads(text)
        sections = [settings.get(key.partition(".")[0], {}) for key in SETTINGS.values()]
        return _changed(settings, values) if all(isinstance(each, dict) for each in sections) else None
    except (AttributeError, TypeError, ValueError, RecursionError):
        return None


def _changed(settings: Json, values: Json) -> Json:
    for name, key in SETTINGS.items():
        if name in values:
            *sections, last = key.split(".")
            section = settings
            for each in sections:
                section = section.setdefault(each, {})
            section[last] = setting_value(name, values[name])
    return settings
