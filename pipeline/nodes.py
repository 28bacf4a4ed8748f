"""Lists the nodes in the order of the data, and connects each node to earlier nodes."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from tfx.dsl.components.base.base_node import BaseNode
from tfx.types import BaseChannel

from components import (
    baseline,
    data_gate,
    embeddings,
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
from components.bulk import component as bulk
from components.bulk import served_model
from components.data_review import component as data_review
from components.edge import component as edge
from components.report import component as report
from components.report.sources import RERUN_COMMAND
from components.serving_check import component as serving_check
from components.serving_check.infra_validator import infra_validator
from components.serving_skew import component as serving_skew
from components.stage import Stage
from errors import UserError, choices
from pipeline.config import READ, Config
from trainer.features import THRESHOLDS
from trainer.section import Pixels


class Environment(NamedTuple):
    """The nodes that depend on where the pipeline runs, and where its artifacts and checkpoints are stored.

    Attributes:
      root: the pipeline root.
      checkpoints: a folder that is kept when a run is killed; None stores checkpoints in the Trainer's output.
      devices: the kind of device that the Trainer expects, 'CPU', 'GPU' or 'TPU'; None accepts any.
      schema: returns the node of the schema, given `data.schema_file`.
      warm_start: returns the node whose `model` the Trainer starts from.
      trainer: returns the Trainer; see `components.trainer.trainer`.
      baseline: returns the node whose `model` is compared with the candidate, given the candidate. If the node also
        has the `examples` that this model was trained on, the report compares them with the run's examples.
      command: reruns the pipeline there, with the settings in `settings.yaml`.
      rerun: reruns a run with its settings, in any folder; '' where they are in no file, then `command` is used.
      deployment: the settings of `components.endpoint.deploy`; None deploys no model.
    """

    root: str
    checkpoints: str | None
    devices: str | None = None
    schema: Callable[[str], BaseNode] = schema_gen.schema_gen
    warm_start: Callable[[], BaseNode] = baseline.latest_blessed_model
    trainer: Callable[..., BaseNode] = trainer.trainer
    baseline: Callable[[BaseChannel], BaseNode] = baseline.latest_other_blessed_model
    command: str = RERUN_COMMAND
    rerun: str = ""
    deployment: dict[str, Any] | None = None


class Wiring(NamedTuple):
    """The inputs for a new node: the settings, the environment, and the earlier nodes by name."""

    config: Config
    environment: Environment
    nodes: dict[str, BaseNode]

    def __getitem__(self, channel: str) -> BaseChannel:  # type: ignore[override]
        """Returns an output of an earlier node, given 'Node.output'.

        Raises:
          UserError: when no earlier node has this output.
        """
        node, _, output = channel.partition(".")
        if node in self.nodes and output in self.nodes[node].outputs:
            return self.nodes[node].outputs[output]
        outputs = [f"{name}.{output}" for name, each in self.nodes.items() for output in each.outputs]
        raise UserError(
            f"pipeline/nodes.py: expected an output of an earlier entry of NODES, received {channel!r}; "
            + choices(channel, outputs)
        )

    def inputs(self, *channels: str) -> dict[str, BaseChannel]:
        """Returns outputs of earlier nodes by their names, for nodes whose inputs have the same names."""
        return {channel.partition(".")[2]: self[channel] for channel in channels}


def _examples(wiring: Wiring) -> BaseNode:
    data = wiring.config.data
    return example_gen.example_gen(str(data.directory), data.pattern, **data.model_dump(mode="json", include=READ))


def _schema(wiring: Wiring) -> BaseNode:
    return wiring.environment.schema(str(wiring.config.data.schema_file))


def _statistics(wiring: Wiring) -> BaseNode:
    return statistics_gen.statistics_gen(wiring["ImportExampleGen.examples"], wiring["ImportSchemaGen.schema"])


def _anomalies(wiring: Wiring) -> BaseNode:
    return example_validator.example_validator(wiring["StatisticsGen.statistics"], wiring["ImportSchemaGen.schema"])


def _data_gate(wiring: Wiring) -> BaseNode:
    return data_gate.DataGate(
        **wiring.inputs(
            "ImportExampleGen.examples",
            "ImportExampleGen.quarantine",
            "ExampleValidator.anomalies",
        ),
        classes=json.dumps(wiring.config.data.classes),
        max_bad_fraction=wiring.config.data.max_bad_fraction,
    )


def _serving_skew(wiring: Wiring) -> BaseNode | None:
    folder = wiring.config.serving_skew.kept
    if not folder:
        return None
    node = serving_skew.serving_skew(wiring["ImportExampleGen.table"], str(folder), wiring.config.data.classes)
    node.add_upstream_node(wiring.nodes["DataGate"])
    return node


def _transform(wiring: Wiring) -> BaseNode:
    node = transform.transform(wiring["ImportExampleGen.examples"], wiring["ImportSchemaGen.schema"], _pixels(wiring))
    node.add_upstream_node(wiring.nodes["DataGate"])
    return node


def _pixels(wiring: Wiring) -> dict[str, Any]:
    return wiring.config.data.model_dump(mode="json", include=set(Pixels.model_fields))


def _training_inputs(wiring: Wiring) -> tuple[BaseChannel, BaseChannel, BaseChannel]:
    return wiring["ImportExampleGen.examples"], wiring["Transform.transform_graph"], wiring["ImportSchemaGen.schema"]


def _embeddings(wiring: Wiring) -> BaseNode | None:
    settings = wiring.config.embeddings
    if not settings.trunks:
        return None
    examples, transform_graph, _ = _training_inputs(wiring)
    return embeddings.embeddings(examples, transform_graph, settings, _pixels(wiring))


def _data_review(wiring: Wiring) -> BaseNode | None:
    if embeddings.STAGE.name not in wiring.nodes:
        return None
    return data_review.DataReview(
        **wiring.inputs("ImportExampleGen.examples", "ImportExampleGen.table", "Embeddings.embeddings"),
        classes=json.dumps(wiring.config.data.classes),
        command=wiring.environment.rerun or wiring.environment.command,
    )


def _tuner(wiring: Wiring) -> BaseNode | None:
    settings = wiring.config.tuner
    if not settings.trials:
        return None
    custom = {"recipe": wiring.config.recipe.model_dump(mode="json"), "tuner": settings.model_dump(mode="json")}
    return tuner.tuner(*_training_inputs(wiring), custom)


def _warm_start(wiring: Wiring) -> BaseNode | None:
    return wiring.environment.warm_start() if wiring.config.trainer.warm_start else None


def _trainer(wiring: Wiring) -> BaseNode:
    environment = wiring.environment
    optional = {"hyperparameters": "Tuner.best_hyperparameters", "base_model": "WarmStart.model"}
    optional |= {"embeddings": "Embeddings.embeddings"} if wiring.config.model.reads_embeddings else {}
    return environment.trainer(
        *_training_inputs(wiring),
        custom_config={
            "recipe": wiring.config.recipe.model_dump(mode="json"),
            "checkpoints": environment.checkpoints,
            "devices": environment.devices,
        },
        **{key: wiring[name] for key, name in optional.items() if name.partition(".")[0] in wiring.nodes},
    )


def _baseline(wiring: Wiring) -> BaseNode:
    return wiring.environment.baseline(wiring["Trainer.model"])


def _evaluator(wiring: Wiring) -> BaseNode:
    thresholds = wiring.config.evaluator.model_dump(include=set(THRESHOLDS))
    return evaluator.evaluator(
        wiring["ImportExampleGen.examples"],
        wiring["Trainer.model"],
        wiring["LatestBlessedModel.model"],
        wiring["ImportExampleGen.table"],
        evaluator.eval_config(wiring.config.data.classes, **thresholds),
        wiring.config.evaluator.model_dump(exclude=set(THRESHOLDS), exclude_none=True),
    )


def _serving_check(wiring: Wiring) -> BaseNode:
    settings = wiring.config.serving_check
    if settings.server == "docker":
        return infra_validator(**wiring.inputs("Trainer.model", "ImportExampleGen.examples"))
    return serving_check.ServingCheck(
        **wiring.inputs("Trainer.model", "Trainer.model_run"),
        model_blessing=wiring["Evaluator.blessing"],
        settings=settings.model_dump_json(exclude={"server"}),
    )


def _edge(wiring: Wiring) -> BaseNode | None:
    settings = wiring.config.edge
    if not settings.formats:
        return None
    channels = ("ImportExampleGen.examples", "Transform.transform_graph", "Trainer.model", "Trainer.model_run")
    inputs = wiring.inputs(*channels, "Evaluator.evaluation") | {"model_blessing": wiring["Evaluator.blessing"]}
    return edge.edge(inputs, settings.model_dump_json())


def _pusher(wiring: Wiring) -> BaseNode:
    directory = str(wiring.config.pusher.directory)
    blessings = wiring["Evaluator.blessing"], wiring["ServingCheck.blessing"]
    files = wiring["Edge.files"] if edge.STAGE.name in wiring.nodes else None
    return pusher.pusher(wiring["Trainer.model"], *blessings, directory, files, wiring.environment.deployment)


def _report(wiring: Wiring) -> BaseNode:
    settings = wiring.config.model_dump(mode="json", exclude={"cluster"})  # the cluster may change after compiling
    nodes = [(stage, wiring.nodes[stage.name]) for stage, _ in NODES if stage.name in wiring.nodes]
    return report.report(nodes, settings, wiring.environment.command)


def _served_model(wiring: Wiring) -> BaseNode | None:
    return None if pusher.STAGE.name in wiring.nodes else served_model.served_model()


def _bulk(wiring: Wiring) -> BaseNode | None:
    data = wiring.config.data
    if not wiring.config.bulk.data:
        return None
    model = served_model.STAGE if served_model.STAGE.name in wiring.nodes else pusher.STAGE
    return bulk.bulk_inferrer(
        wiring[f"{model.name}.pushed_model"],
        directory=str(wiring.config.bulk.data),
        pattern=data.pattern,
        features=data.features,
        model_name=wiring.config.name,
    )


# Each entry: the node's record, and the function that returns the node, or None if the settings disable the node.
NODES: list[tuple[Stage, Callable[[Wiring], BaseNode | None]]] = [
    (example_gen.STAGE, _examples),
    (schema_gen.STAGE, _schema),
    (statistics_gen.STAGE, _statistics),
    (example_validator.STAGE, _anomalies),
    (data_gate.STAGE, _data_gate),
    (transform.STAGE, _transform),
    (embeddings.STAGE, _embeddings),
    (data_review.STAGE, _data_review),
    (serving_skew.STAGE, _serving_skew),
    (tuner.STAGE, _tuner),
    (baseline.WARM_START, _warm_start),
    (trainer.STAGE, _trainer),
    (baseline.STAGE, _baseline),
    (evaluator.STAGE, _evaluator),
    (serving_check.STAGE, _serving_check),
    (edge.STAGE, _edge),
    (pusher.STAGE, _pusher),
    (report.STAGE, _report),
    (served_model.STAGE, _served_model),
    (bulk.STAGE, _bulk),
]
