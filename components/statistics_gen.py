"""Statistics of each split."""

import tensorflow_data_validation as tfdv
from tfx import types
from tfx import v1 as tfx


def statistics_gen(examples: types.BaseChannel, schema: types.BaseChannel) -> tfx.components.StatisticsGen:
    """Returns StatisticsGen. With the schema it takes photos as images, not as strings whose values are counted."""
    return tfx.components.StatisticsGen(
        examples=examples,
        schema=schema,
        stats_options=tfdv.StatsOptions(enable_semantic_domain_stats=True),
    )
