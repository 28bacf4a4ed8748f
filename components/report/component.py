"""The Report node: writes the run's page and the numbers of the page; see `components.report`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.filesize import decimal
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types.channel import OutputChannel
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components import judged_split
from components.artifacts import Artifacts, RunReport
from components.pusher import pushed_to
from components.report.sources import REPORT, REPORT_NODE, NodeOutputs, Sources
from components.stage import Stage
from storage.local_paths import to_uri
from trainer.features import CHANGEABLE, SET_ASIDE, THRESHOLDS, setting_value
from trainer.section import with_changes

# the settings that parameters of a run on a cluster replace; the keys are execution properties
CHANGES = CHANGEABLE | {name: f"evaluator.{name}" for name in THRESHOLDS} | {"data": "data.directory"}


class ReportSpec(ComponentSpec):
    """The node's interface. The inputs depend on the pipeline; `report` adds them."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("settings", "nodes", "code", "command")}
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {"report": ChannelParameter(type=RunReport)}


def _key(node: str, output: str) -> str:
    """Returns the name of an input, for example 'Trainer_model'. Clusters were only tested with identifiers."""
    return f"{node}_{output}"


class Executor(base_executor.BaseExecutor):
    """Writes the report into the folder of the output."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Writes the report, and a copy into the pushed version; see the base class."""
        from components.report.make import make  # imports the chart library, which only this process needs

        inputs = {key: artifacts[0] for key, artifacts in input_dict.items() if artifacts}
        nodes = []
        for node, each in json.loads(exec_properties["nodes"]).items():
            keys = {output: _key(node, output) for output in each["writes"]}
            folders = {output: inputs[key].uri for output, key in keys.items() if key in inputs}
            nodes += [NodeOutputs(node, each["reads"], folders)] if folders else []
        properties = {name: exec_properties[name] for name in CHANGES if name in exec_properties}
        changes = {CHANGES[name]: setting_value(name, value) for name, value in properties.items()}
        evaluation = inputs.get(_key("Evaluator", "evaluation"))
        (report,) = output_dict["report"]
        sources = Sources(
            settings=with_changes(json.loads(exec_properties["settings"]), changes),
            nodes=nodes,
            code=exec_properties["code"],
            command=exec_properties["command"],
            pushed_to=pushed_to({"pushed_model": input_dict.get(_key("Pusher", "pushed_model"), [])}),
            judged=judged_split.recorded(evaluation and evaluation.get_string_custom_property(judged_split.PROPERTY)),
            set_aside=evaluation.get_string_custom_property(SET_ASIDE) if evaluation else "",
            root=to_uri(report.uri).rsplit("/", 3)[0],  # ROOT/NODE/OUTPUT/ID
        )
        make(sources, report.uri, sources.pushed_to)


class Report(base_component.BaseComponent):
    """The Report node. Its output `report` contains report.html and report.json."""

    SPEC_CLASS = ReportSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def report(nodes: Sequence[tuple[Stage, BaseNode]], settings: dict[str, Any], command: str) -> Report:
    """Returns the Report node. The pipeline later sets its property `code`, the digest of the code of all nodes.

    Args:
      nodes: the nodes before the report.
      settings: all settings, as JSON values.
      command: the command that reruns the pipeline with the settings in `settings.yaml`.
    """
    channels: dict[str, types.BaseChannel] = {}
    reads_and_writes: dict[str, Any] = {}
    for stage, node in nodes:
        writes = [output for output in stage.outputs if output in node.outputs]
        channels |= {_key(stage.name, output): node.outputs[output] for output in writes}
        reads_and_writes[stage.name] = {"reads": _reads(node), "writes": writes}

    class Spec(ReportSpec):
        INPUTS = {key: ChannelParameter(type=channel.type, optional=True) for key, channel in channels.items()}

    output = types.Channel(type=RunReport)
    texts = {"settings": json.dumps(settings), "nodes": json.dumps(reads_and_writes)}
    return Report(Spec(report=output, code="", command=command, **texts, **channels))


def _reads(node: BaseNode) -> list[str]:
    """Returns the outputs that a node reads, each as 'Node.output'."""
    channels = [each for each in node.inputs.values() if isinstance(each, OutputChannel)]
    return [f"{each.producer_component_id}.{each.output_key}" for each in channels]


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    return decimal((Path(outputs["report"][0].uri) / REPORT).stat().st_size)


STAGE = Stage(REPORT_NODE, ("report",), _figure, parameters={name: name for name in CHANGES})
