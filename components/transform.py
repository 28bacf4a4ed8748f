"""Decode, resize and normalise, as one graph that training and serving share."""

from typing import Any

from tfx import types
from tfx import v1 as tfx


def transform(
    examples: types.BaseChannel, schema: types.BaseChannel, custom_config: dict[str, Any]
) -> tfx.components.Transform:
    """Returns the Transform node: it writes the graph and no pixels, which the trainer makes as fast from the graph."""
    return tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="trainer.preprocessing.preprocessing_fn",
        materialize=False,
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config=custom_config,
    )
