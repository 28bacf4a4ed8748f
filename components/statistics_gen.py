"""Computes statistics of each split."""

from typing import Any

import tensorflow_data_validation as tfdv
from tfx import types
from tfx import v1 as tfx
from tfx.types import artifact_utils

from components.artifacts import Artifacts
from components.stage import Stage


def statistics_gen(examples: types.BaseChannel, schema: types.BaseChannel) -> tfx.components.StatisticsGen:
    """Returns StatisticsGen. The schema makes it treat photos as images, not as strings whose values are counted."""
    return tfx.components.StatisticsGen(
        examples=examples,
        schema=schema,
        stats_options=tfdv.StatsOptions(enable_semantic_domain_stats=True),
    )


def example_count(statistics: types.Artifact, split: str) -> int:
    """Returns the number of examples in a split."""
    uri = artifact_utils.get_split_uri([statistics], split)
    return int(tfdv.load_stats_binary(f"{uri}/FeatureStats.pb").datasets[0].num_examples)


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    (statistics,) = outputs["statistics"]
    splits = artifact_utils.decode_split_names(statistics.split_names)
    return " · ".join(f"{example_count(statistics, split):,} {split}" for split in splits)


STAGE = Stage("StatisticsGen", ("statistics",), _figure)
