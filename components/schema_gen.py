"""The curated schema into the pipeline: the contract that the data is held against."""

from tfx import v1 as tfx


def schema_gen(schema_file: str) -> tfx.components.ImportSchemaGen:
    """Returns the node that imports a schema's text file."""
    return tfx.components.ImportSchemaGen(schema_file=schema_file)
