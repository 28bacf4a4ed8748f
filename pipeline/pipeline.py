"""The pipeline: its nodes, in the order of the data."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tfx import v1 as tfx
from tfx.dsl.components.base.base_beam_component import BaseBeamComponent
from tfx.dsl.components.base.base_component import BaseComponent
from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import BaseChannel

from components import (
    baseline,
    data_gate,
    evaluator,
    example_gen,
    example_validator,
    pusher,
    schema_gen,
    statistics_gen,
    trainer,
    transform,
    tuner,
)
from components.report import component as report
from components.report.sources import RERUN_COMMAND
from lineage import source_code
from pipeline import beam
from pipeline.config import Config, Data
from trainer.features import CODE


class Environment(NamedTuple):
    """The nodes that depend on where the pipeline runs, and where its artifacts and checkpoints go.

    Attributes:
      root: the pipeline root.
      checkpoints: a folder that outlives a run; None keeps them in the Trainer's own output.
      devices: the kind that the Trainer is to find, 'CPU', 'GPU' or 'TPU'; None takes what is there.
      schema: makes the node of the schema, given `data.schema_file`.
      warm_start: makes the node whose `model` the Trainer begins with.
      trainer: makes the Trainer; see `components.trainer.trainer`.
      baseline: makes the node whose `model` a candidate is held against, given the candidate. Where it also knows the
        `examples` that this was trained on, the report compares them with the run's own.
      command: what runs the pipeline there again, with the settings in `settings.yaml`.
    """

    root: str
    checkpoints: str | None
    devices: str | None = None
    schema: Callable[[str], BaseNode] = schema_gen.schema_gen
    warm_start: Callable[[], BaseNode] = baseline.model_to_start_from
    trainer: Callable[..., BaseNode] = trainer.trainer
    baseline: Callable[[BaseChannel], BaseNode] = baseline.latest_blessed_model
    command: str = RERUN_COMMAND


def local_environment(config: Config) -> Environment:
    """Returns this machine."""
    return Environment(root=str(root(config)), checkpoints=str(root(config) / "checkpoints"))


def create_pipeline(
    config: Config, environment: Environment, metadata: tfx.orchestration.metadata.ConnectionConfigType | None = None
) -> tfx.dsl.Pipeline:
    """Returns the whole pipeline.

    Args:
      config: settings whose paths are absolute and whose data is there (`pipeline.local.prepared`).
      environment: where it runs.
      metadata: where ML Metadata is kept; a cluster keeps its own.
    """
    examples = _example_gen(config.data)
    schema = environment.schema(str(config.data.schema_file))
    checks = _checks(config.data, examples, schema)
    graph = _graph(config.data, examples, schema)
    graph.add_upstream_node(checks[-1])
    searches, model = _training(config, environment, examples, schema, graph)
    latest = environment.baseline(model.outputs["model"])
    evaluation = evaluator.evaluator(
        examples.outputs["examples"],
        model.outputs["model"],
        latest.outputs["model"],
        evaluator.eval_config(config.data.classes, **config.evaluator.model_dump()),
    )
    push = pusher.pusher(model.outputs["model"], evaluation.outputs["blessing"], str(config.pusher.directory))
    nodes = [examples, schema, *checks, graph, *searches, model, latest, evaluation, push]
    nodes.append(_report(config, environment, nodes))
    _follow_code(nodes)
    return tfx.dsl.Pipeline(
        pipeline_name=config.name,
        pipeline_root=environment.root,
        components=nodes,
        metadata_connection_config=metadata,
        enable_cache=True,
        beam_pipeline_args=beam.arguments(config.beam),
    )


def _example_gen(data: Data) -> BaseBeamComponent:
    by_split = {"shards": example_gen.by_shards, "hash": example_gen.by_hash}[data.split]
    return by_split(str(data.directory), data.pattern, data.eval_fraction)


def _checks(data: Data, examples: BaseNode, schema: BaseNode) -> list[BaseNode]:
    statistics = statistics_gen.statistics_gen(examples.outputs["examples"], schema.outputs["schema"])
    anomalies = example_validator.example_validator(statistics.outputs["statistics"], schema.outputs["schema"])
    gate = data_gate.DataGate(
        examples=examples.outputs["examples"],
        statistics=statistics.outputs["statistics"],
        anomalies=anomalies.outputs["anomalies"],
        directory=str(data.directory),
        pattern=data.pattern,
    )
    return [statistics, anomalies, gate]


def _graph(data: Data, examples: BaseNode, schema: BaseNode) -> BaseNode:
    seen = data.model_dump(mode="json", include={"image_size", "channels", "resize", "normalize"})
    return transform.transform(examples.outputs["examples"], schema.outputs["schema"], seen)


def _training(
    config: Config, environment: Environment, examples: BaseNode, schema: BaseNode, graph: BaseNode
) -> tuple[list[BaseNode], BaseNode]:
    """Returns the Trainer, and before it the nodes that find hyper-parameters or weights for it, if there are any."""
    inputs = examples.outputs["examples"], graph.outputs["transform_graph"], schema.outputs["schema"]
    custom: dict[str, Any] = {"recipe": recipe(config)}
    searches: list[BaseNode] = []
    channels: dict[str, BaseChannel] = {}
    if config.tuner.trials:
        tune = tuner.tuner(*inputs, {**custom, "tuner": config.tuner.model_dump(mode="json")})
        searches.append(tune)
        channels["hyperparameters"] = tune.outputs["best_hyperparameters"]
    if config.trainer.warm_start:
        start = environment.warm_start()
        searches.append(start)
        channels["base_model"] = start.outputs["model"]
    custom |= {"checkpoints": environment.checkpoints, "devices": environment.devices}
    return searches, environment.trainer(*inputs, custom_config=custom, **channels)


def _report(config: Config, environment: Environment, nodes: list[BaseNode]) -> BaseNode:
    outputs = {node.id: node.outputs for node in nodes}
    before = outputs.pop("LatestBlessedModel")
    start = outputs.pop("WarmStart", {})
    made = {name: channel for each in outputs.values() for name, channel in each.items()}
    baselines = {f"baseline_{name}": before[name] for name in ("model", "examples") if name in before}
    starts = {"base_model": start["model"]} if start else {}
    channels = {**made, **baselines, **starts, "data_blessing": outputs["DataGate"]["blessing"]}
    settings = config.model_dump(mode="json", exclude={"cluster"})  # where it runs may change after it is compiled
    return report.report(channels, settings, environment.command)


def root(config: Config) -> Path:
    """Returns the pipeline root: the artifacts of all runs of this name."""
    return config.output / "artifacts" / config.name


def recipe(config: Config) -> dict:
    """Returns all settings that the trained model depends on."""
    return config.model_dump(
        mode="json",
        include={
            "data": {"image_size", "channels", "classes"},
            "model": True,
            "trainer": True,
        },
    )


def _follow_code(nodes: Sequence[BaseNode]) -> None:
    """Makes each node's cache key follow the code that its executor runs; the report, the last node, names it all."""
    for node in nodes:
        if isinstance(node, BaseComponent) and (files := source_code.files_of_node(node)):
            node.exec_properties[CODE] = json.dumps(files)
    nodes[-1].exec_properties["code"] = source_code.digest(code_of(nodes))


def code_of(nodes: Iterable[BaseNode]) -> dict[str, str]:
    """Returns the files that the nodes run, as `source_code.files_of` does."""
    maps = [json.loads(node.exec_properties[CODE]) for node in nodes if CODE in node.exec_properties]
    return dict(sorted(item for files in maps for item in files.items()))
