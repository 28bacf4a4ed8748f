"""Fits the model; see trainer/run.py for what runs inside."""

import json
from typing import Any

from tfx import types
from tfx import v1 as tfx
from tfx.components.trainer.executor import GenericExecutor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.utils import io_utils

from trainer.features import HISTORY


class RecordingExecutor(GenericExecutor):
    """Trainer's executor, which also writes what trained the model, and how well, into the model's metadata."""

    def Do(  # noqa: N802 (TFX's own name)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Trains; see the base class."""
        super().Do(input_dict, output_dict, exec_properties)
        run = artifact_utils.get_single_uri(output_dict["model_run"])
        record = json.loads(io_utils.read_string_file(f"{run}/{HISTORY}"))
        model = artifact_utils.get_single_instance(output_dict["model"])
        for key in ("devices", "precision"):
            model.set_string_custom_property(key, record[key])
        for key in ("strategy", "recipe"):
            model.set_string_custom_property(key, json.dumps(record[key]))
        for key in ("parameters", "global_batch", "epochs", "best_epoch"):
            model.set_int_custom_property(key, record[key])
        model.set_float_custom_property("val_accuracy", max(record["history"]["val_accuracy"]))
        model.set_float_custom_property("seconds", record["seconds"])


def trainer(
    examples: types.BaseChannel,
    transform_graph: types.BaseChannel,
    schema: types.BaseChannel,
    custom_config: dict[str, Any],
    base_model: types.BaseChannel | None = None,
    hyperparameters: types.BaseChannel | None = None,
) -> tfx.components.Trainer:
    """Returns the Trainer node. Epochs, not steps, are counted, in `custom_config`."""
    return tfx.components.Trainer(
        examples=examples,
        transform_graph=transform_graph,
        schema=schema,
        base_model=base_model,
        hyperparameters=hyperparameters,
        run_fn="trainer.run.run_fn",
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
        custom_config=custom_config,
        custom_executor_spec=executor_spec.ExecutorClassSpec(RecordingExecutor),
    )
