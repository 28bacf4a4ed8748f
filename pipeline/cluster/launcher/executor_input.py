"""Builds the ExecutorInput of a task in JSON, for schema 2.0 or 2.1."""

from typing import Any

from pipeline.cluster.launcher.store import Artifact
from pipeline.cluster.spec import KINDS, Json, constant, plain


class Format:
    """Reads and writes parameters and artifacts in the format of the spec's schema version."""

    def __init__(self, spec: Json):
        self.is_2_1 = spec["schemaVersion"] >= "2.1"

    def inputs(self, values: Json) -> Json:
        """Returns the parameters of an ExecutorInput."""
        if self.is_2_1:
            return {"parameterValues": values}
        return {"parameters": {name: _typed(value) for name, value in values.items()}}

    def artifact(self, artifact: Artifact) -> Artifact:
        """Returns an input artifact; for schema 2.1 without its type, which Kubeflow's backend loses."""
        return artifact | {"type": {"instanceSchema": ""}} if self.is_2_1 else artifact

    def outputs(self, output: Json) -> Json:
        """Returns the parameters of an ExecutorOutput."""
        if self.is_2_1:
            return output.get("parameterValues", {})
        # TFX's driver writes `parameterValues` for both schemas
        old = {name: plain(value) for name, value in output.get("parameters", {}).items()}
        return old | output.get("parameterValues", {})


def parameters_of(task: Json, run_parameters: Json) -> Json:
    """Returns the parameter values of a task of the PipelineSpec."""
    values = {}
    for name, source in task.get("inputs", {}).get("parameters", {}).items():
        if "componentInputParameter" in source:
            values[name] = run_parameters[source["componentInputParameter"]]
        else:
            values[name] = constant(source["runtimeValue"])
    return values


def executor_input(
    spec: Json, values: Json, inputs: dict[str, list[Artifact]], outputs: dict[str, Artifact], output_file: str
) -> Json:
    """Returns the ExecutorInput of a task.

    Args:
      spec: the PipelineSpec, which has the schema version.
      values: the parameters.
      inputs: the input artifacts by name; a list is empty if a resolver found nothing.
      outputs: the output artifacts by name.
      output_file: path for the task's ExecutorOutput.
    """
    format_ = Format(spec)
    return {
        "inputs": {
            **format_.inputs(values),
            "artifacts": {name: {"artifacts": list(map(format_.artifact, found))} for name, found in inputs.items()},
        },
        "outputs": {
            "artifacts": {name: {"artifacts": [artifact]} for name, artifact in outputs.items()},
            "outputFile": output_file,
        },
    }


def _typed(value: Any) -> Json:
    kind = next(kind for kind, python in KINDS.items() if isinstance(value, python))
    return {kind: str(value) if kind == "intValue" else value}
