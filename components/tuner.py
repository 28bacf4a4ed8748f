"""Searches hyper-parameters with KerasTuner. `trainer.tune` is the code that runs inside the node."""

import json
from pathlib import Path
from typing import Any

from tfx import types
from tfx import v1 as tfx

from components.artifacts import Artifacts
from components.stage import Stage
from ingest.split_names import EVAL, TRAIN


def tuner(
    examples: types.BaseChannel,
    transform_graph: types.BaseChannel,
    schema: types.BaseChannel,
    custom_config: dict[str, Any],
) -> tfx.components.Tuner:
    """Returns the Tuner node. The Trainer reads its output `best_hyperparameters`."""
    return tfx.components.Tuner(
        examples=examples,
        transform_graph=transform_graph,
        schema=schema,
        tuner_fn="trainer.tune.tuner_fn",
        train_args=tfx.proto.TrainArgs(splits=[TRAIN]),
        eval_args=tfx.proto.EvalArgs(splits=[EVAL]),
        custom_config=custom_config,
    )


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    (best,) = outputs["best_hyperparameters"]
    values = json.loads((Path(best.uri) / "best_hyperparameters.txt").read_text())["values"]
    return " · ".join(f"{key} {value}" for key, value in values.items())


STAGE = Stage("Tuner", ("best_hyperparameters",), _figure, prints=True)
