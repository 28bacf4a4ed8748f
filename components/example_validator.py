"""What in the data departs from the schema. It records and stops nothing; the data gate does."""

from tfx import types
from tfx import v1 as tfx

from components.stage import Stage

STAGE = Stage("ExampleValidator", ("anomalies",))


def example_validator(statistics: types.BaseChannel, schema: types.BaseChannel) -> tfx.components.ExampleValidator:
    """Returns ExampleValidator over every split."""
    return tfx.components.ExampleValidator(statistics=statistics, schema=schema)
