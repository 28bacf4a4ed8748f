"""Compares the data with the schema and records anomalies. Only the data gate stops the run because of them."""

from tfx import types
from tfx import v1 as tfx

from components.stage import Stage

STAGE = Stage("ExampleValidator", ("anomalies",))


def example_validator(statistics: types.BaseChannel, schema: types.BaseChannel) -> tfx.components.ExampleValidator:
    """Returns ExampleValidator for every split."""
    return tfx.components.ExampleValidator(statistics=statistics, schema=schema)
