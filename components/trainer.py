"""Trains the model. `trainer.run` is the code that runs inside the node."""

import json
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.extensions.google_cloud_ai_platform.constants import ENABLE_VERTEX_KEY, VERTEX_REGION_KEY
from tfx.extensions.google_cloud_ai_platform.trainer import executor as vertex
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter
from tfx.types.standard_component_specs import TrainerSpec
from tfx.utils import io_utils, json_utils

from components.artifacts import Artifacts, EmbeddingTable
from components.stage import Stage
from ingest.split_names import EVAL, TRAIN
from trainer.features import CHANGEABLE, CODE, HISTORY
from trainer.settings import Recipe


class RecordingExecutor(GenericExecutor):
    """Trainer's executor, which also writes recipe, devices, accuracy and time into the model's metadata."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Trains with the recipe, in which execution properties may replace settings; see the base class."""
        super().Do(input_dict, output_dict, _with_changes(exec_properties, input_dict))
        _record(output_dict)


class VertexExecutor(vertex.GenericExecutor):
    """Trains in a custom job of Vertex AI, waits for the job, and writes the metadata like RecordingExecutor."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Trains in the job; see the base class."""
        super().Do(input_dict, output_dict, exec_properties)
        _record(output_dict)  # metadata that the job sets stays in the process of the job

    def _GetExecutorClass(self) -> type:  # noqa: N802
        return RecordingExecutor


def _with_changes(exec_properties: dict[str, Any], input_dict: Artifacts) -> dict[str, Any]:
    changes = {key: exec_properties[name] for name, key in CHANGEABLE.items() if name in exec_properties}
    custom = json_utils.loads(exec_properties["custom_config"])
    recipe = Recipe.model_validate(custom["recipe"]).changed(changes)
    custom |= {"recipe": recipe.model_dump(mode="json"), "code": exec_properties.get(CODE, "")}
    if tables := input_dict.get("embeddings"):
        custom["embeddings"] = [artifact_utils.get_single_uri(tables), TRAIN, EVAL]
    return {**exec_properties, "custom_config": json_utils.dumps(custom)}


def _record(output_dict: Artifacts) -> None:
    record = history(output_dict)
    model = artifact_utils.get_single_instance(output_dict["model"])
    for key in ("devices", "precision"):
        model.set_string_custom_property(key, record[key])
    for key in ("strategy", "recipe"):
        model.set_string_custom_property(key, json.dumps(record[key]))
    for key in ("parameters", "global_batch", "epochs", "best_epoch"):
        model.set_int_custom_property(key, record[key])
    model.set_float_custom_property("val_accuracy", record["val_accuracy"])
    model.set_float_custom_property("seconds", record["seconds"])


class Spec(TrainerSpec):
    """TFX's spec with the embeddings, which only some recipes read."""

    INPUTS = {**TrainerSpec.INPUTS, "embeddings": ChannelParameter(type=EmbeddingTable, optional=True)}


class Trainer(tfx.components.Trainer):
    """TFX's Trainer with the input `embeddings`."""

    SPEC_CLASS = Spec

    def __init__(self, spec: Spec, executor: executor_spec.ExecutorSpec):
        base_component.BaseComponent.__init__(self, spec=spec, custom_executor_spec=executor)


def trainer(
    examples: types.BaseChannel,
    transform_graph: types.BaseChannel,
    schema: types.BaseChannel,
    *,
    custom_config: dict[str, Any],
    base_model: types.BaseChannel | None = None,
    hyperparameters: types.BaseChannel | None = None,
    embeddings: types.BaseChannel | None = None,
    executor: type = RecordingExecutor,
) -> tfx.components.Trainer:
    """Returns the Trainer node. The recipe in `custom_config` limits the training by epochs, not by steps.

    With `embeddings`, `run_fn` finds their folder in `custom_config`.
    """
    spec = Spec(
        examples=examples,
        transform_graph=transform_graph,
        schema=schema,
        base_model=base_model,
        hyperparameters=hyperparameters,
        embeddings=embeddings,
        run_fn="trainer.run.run_fn",
        train_args=tfx.proto.TrainArgs(splits=[TRAIN]),
        eval_args=tfx.proto.EvalArgs(splits=[EVAL]),
        custom_config=json_utils.dumps(custom_config),
        model=types.Channel(type=standard_artifacts.Model),
        model_run=types.Channel(type=standard_artifacts.ModelRun),
    )
    return Trainer(spec, executor_spec.ExecutorClassSpec(executor))


def on_vertex(
    *inputs: types.BaseChannel,
    project: str,
    region: str,
    image: str,
    machine: dict[str, Any],
    workers: int,
    spot: bool,
    service_account: str | None,
    custom_config: dict[str, Any],
    **channels: types.BaseChannel,
) -> tfx.components.Trainer:
    """Returns the Trainer node whose training is a custom job of Vertex AI.

    Args:
      *inputs: see `trainer`.
      project: the project of Google Cloud.
      region: the region of the job.
      image: the container image, which contains this project.
      machine: the machine_spec of the worker pools.
      workers: the number of machines. Vertex AI sets TF_CONFIG if there are several, and restarts all if one is lost.
      spot: whether the machines may be preempted. Vertex AI then restarts the job, which resumes from its checkpoints.
      service_account: the account of the job; None: Vertex AI's default.
      custom_config: see `trainer`.
      **channels: see `trainer`.
    """
    pool = {"machine_spec": machine, "replica_count": 1, "container_spec": {"image_uri": image}}
    others = [pool | {"replica_count": workers - 1}] if workers > 1 else []  # the first pool has the chief only
    spec: dict[str, Any] = {"worker_pool_specs": [pool, *others]}
    scheduling: dict[str, Any] = {"restart_job_on_worker_restart": True} if workers > 1 else {}
    scheduling |= {"strategy": "SPOT"} if spot else {}
    spec |= {"scheduling": scheduling} if scheduling else {}
    spec |= {"service_account": service_account} if service_account else {}
    job = {"project": project, "job_spec": spec}
    custom = {ENABLE_VERTEX_KEY: True, VERTEX_REGION_KEY: region, vertex.TRAINING_ARGS_KEY: job}
    return trainer(*inputs, custom_config=custom_config | custom, executor=VertexExecutor, **channels)


def history(outputs: Artifacts) -> dict[str, Any]:
    """Returns the Trainer's record, `history.json`; see `trainer.run`."""
    run = artifact_utils.get_single_uri(outputs["model_run"])
    return json.loads(io_utils.read_string_file(f"{run}/{HISTORY}"))


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    record = history(outputs)
    if not record["epochs"]:
        epochs = "last layer fitted to the embeddings"
    else:
        epochs = f"epoch {record['best_epoch']} of {record['epochs']}"
    return f"val_accuracy {record['val_accuracy']:.3f} · {epochs} · {record['devices']}"


STAGE = Stage("Trainer", ("model", "model_run"), _figure, {name: name for name in CHANGEABLE}, prints=True)
