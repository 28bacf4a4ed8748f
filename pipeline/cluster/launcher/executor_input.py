"""What the launcher tells a task: an ExecutorInput, in the words of schema 2.0 or 2.1, as JSON."""

from typing import Any

from pipeline.cluster.launcher.store import Artifact
from pipeline.cluster.spec import KINDS, Json, constant, plain


class Words:
    """The fields that a schema has for parameters."""

    def __init__(self, spec: Json):
        self.new = spec["schemaVersion"] >= "2.1"

    def inputs(self, values: Json) -> Json:
        """Returns the parameters as an ExecutorInput has them."""
        if self.new:
            return {"parameterValues": values}
        return {"parameters": {name: _typed(value) for name, value in values.items()}}

    def artifact(self, artifact: Artifact) -> Artifact:
        """Returns an input as the backend gives it: that of schema 2.1 has lost its type."""
        return artifact | {"type": {"instanceSchema": ""}} if self.new else artifact

    def outputs(self, output: Json) -> Json:
        """Returns the parameters of an ExecutorOutput."""
        if self.new:
            return output.get("parameterValues", {})
        # TFX's driver writes the new field for both schemas
        old = {name: plain(value) for name, value in output.get("parameters", {}).items()}
        return old | output.get("parameterValues", {})


def parameters_of(task: Json, given: Json) -> Json:
    """Returns a task's parameters: constants, and those of the run.

    Args:
      task: of the PipelineSpec.
      given: the run's own.
    """
    values = {}
    for name, source in task.get("inputs", {}).get("parameters", {}).items():
        if "componentInputParameter" in source:
            values[name] = given[source["componentInputParameter"]]
        else:
            values[name] = constant(source["runtimeValue"])
    return values


def executor_input(
    spec: Json, values: Json, inputs: dict[str, list[Artifact]], outputs: dict[str, Artifact], output_file: str
) -> Json:
    """Returns the ExecutorInput of a task.

    Args:
      spec: the PipelineSpec, for its schema's version.
      values: the parameters.
      inputs: the artifacts by the task's names for them; a resolver may have found none.
      outputs: the artifacts that it is to make.
      output_file: where it writes its ExecutorOutput.
    """
    words = Words(spec)
    return {
        "inputs": {
            **words.inputs(values),
            "artifacts": {name: {"artifacts": list(map(words.artifact, found))} for name, found in inputs.items()},
        },
        "outputs": {
            "artifacts": {name: {"artifacts": [artifact]} for name, artifact in outputs.items()},
            "outputFile": output_file,
        },
    }


def _typed(value: Any) -> Json:
    kind = next(kind for kind, python in KINDS.items() if isinstance(value, python))
    return {kind: str(value) if kind == "intValue" else value}
