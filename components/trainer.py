"""Fits the model; see trainer/run.py for what runs inside."""

from typing import Any

from tfx import types
from tfx import v1 as tfx


def trainer(
    examples: types.BaseChannel,
    transform_graph: types.BaseChannel,
    schema: types.BaseChannel,
    custom_config: dict[str, Any],
) -> tfx.components.Trainer:
    """Returns the Trainer node. Epochs, not steps, are counted, in `custom_config`."""
    return tfx.components.Trainer(
        examples=examples,
        transform_graph=transform_graph,
        schema=schema,
        run_fn="trainer.run.run_fn",
        train_args=tfx.proto.TrainArgs(splits=["train"]),
        eval_args=tfx.proto.EvalArgs(splits=["eval"]),
        custom_config=custom_config,
    )
