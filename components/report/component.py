"""The Report node: writes the run's page and its numbers; see `components.report`."""

import json
from collections.abc import Mapping
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.artifacts import Artifacts, DataBlessing, RunReport
from components.report.sources import Sources
from trainer.features import CHANGEABLE, SET_ASIDE, THRESHOLDS, setting_value
from trainer.recipe import changed

INPUTS = {
    "examples": standard_artifacts.Examples,
    "schema": standard_artifacts.Schema,
    "statistics": standard_artifacts.ExampleStatistics,
    "anomalies": standard_artifacts.ExampleAnomalies,
    "data_blessing": DataBlessing,
    "transform_graph": standard_artifacts.TransformGraph,
    "best_hyperparameters": standard_artifacts.HyperParameters,
    "base_model": standard_artifacts.Model,
    "model": standard_artifacts.Model,
    "model_run": standard_artifacts.ModelRun,
    "baseline_model": standard_artifacts.Model,
    "baseline_examples": standard_artifacts.Examples,
    "evaluation": standard_artifacts.ModelEvaluation,
    "blessing": standard_artifacts.ModelBlessing,
    "pushed_model": standard_artifacts.PushedModel,
}

# what of the settings a run on a cluster may change, by the name that the execution properties have for it
CHANGES = CHANGEABLE | {name: f"evaluator.{name}" for name in THRESHOLDS} | {"data": "data.directory"}


class ReportSpec(ComponentSpec):
    """What the node takes: all that a run makes, as far as it does."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("settings", "code", "command")}
    INPUTS = {name: ChannelParameter(type=kind, optional=True) for name, kind in INPUTS.items()}
    OUTPUTS = {"report": ChannelParameter(type=RunReport)}


class Executor(base_executor.BaseExecutor):
    """Writes the report from the folders of the inputs."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Makes the report; see the base class."""
        from components.report.make import make  # the charts' library: not where a pipeline is only put together

        given = {name: artifacts[0] for name, artifacts in input_dict.items() if artifacts}
        said = {name: exec_properties[name] for name in CHANGES if name in exec_properties}
        changes = {CHANGES[name]: setting_value(name, value) for name, value in said.items()}
        pushed, evaluation = given.get("pushed_model"), given.get("evaluation")
        (report,) = output_dict["report"]
        sources = Sources(
            settings=changed(json.loads(exec_properties["settings"]), changes),
            code=exec_properties["code"],
            command=exec_properties["command"],
            pushed_to=pushed.get_string_custom_property("pushed_destination") if pushed else "",
            set_aside=evaluation.get_string_custom_property(SET_ASIDE) if evaluation else "",
            root=report.uri.rsplit("/", 3)[0],  # ROOT/NODE/OUTPUT/ID
            **{name: artifact.uri for name, artifact in given.items()},
        )
        make(sources, report.uri)


class Report(base_component.BaseComponent):
    """The node; its `report` holds report.html and report.json."""

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def report(channels: Mapping[str, types.BaseChannel], settings: dict[str, Any], command: str) -> Report:
    """Returns the node. Its execution property `code`, the digest of all nodes' code, is set when they are known.

    Args:
      channels: what the run makes, by the names in `INPUTS`; others are left out.
      settings: all settings, as JSON has them.
      command: what runs the pipeline again, with the settings in `settings.yaml`.
    """
    inputs = {name: channel for name, channel in channels.items() if name in INPUTS}
    made = types.Channel(type=RunReport)
    return Report(ReportSpec(settings=json.dumps(settings), code="", command=command, report=made, **inputs))
