"""Decodes, resizes and normalises photos in one graph, which training and serving share."""

import json
from typing import Any

from tfx import types
from tfx import v1 as tfx

from components.artifacts import Artifacts
from components.stage import Stage


def transform(
    examples: types.BaseChannel, schema: types.BaseChannel, custom_config: dict[str, Any]
) -> tfx.components.Transform:
    """Returns the Transform node. It writes no pixels: computing them in the graph is faster than reading them."""
    return tfx.components.Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="trainer.preprocessing.preprocessing_fn",
        materialize=False,
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config=custom_config,
    )


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    pixels = json.loads(properties["custom_config"])
    size = f"{pixels['image_size']}×{pixels['image_size']}×{pixels['channels']}"
    return f"{pixels['resize']} to {size}, normalised by {pixels['normalize']}"


STAGE = Stage("Transform", ("transform_graph",), _figure)
