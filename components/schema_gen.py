"""The curated schema into the pipeline: the contract that the data is held against."""

import hashlib
from pathlib import Path

from tfx import v1 as tfx


def schema_gen(schema_file: str) -> tfx.components.ImportSchemaGen:
    """Returns the node that imports a schema's text file. Its cache key follows the content of a local file."""
    node = tfx.components.ImportSchemaGen(schema_file=schema_file)
    if Path(schema_file).is_file():
        node.exec_properties["schema_sha256"] = hashlib.sha256(Path(schema_file).read_bytes()).hexdigest()
    return node
