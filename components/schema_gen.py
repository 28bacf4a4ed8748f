"""Imports the curated schema, which ExampleValidator compares the data with."""

import hashlib
from pathlib import Path

from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx.utils import io_utils

from components.stage import Stage

STAGE = Stage("ImportSchemaGen", ("schema",))


def schema_gen(schema_file: str) -> tfx.components.ImportSchemaGen:
    """Returns the node that imports a schema file. The cache key includes the content of a local file."""
    node = tfx.components.ImportSchemaGen(schema_file=schema_file)
    if Path(schema_file).is_file():
        node.exec_properties["schema_sha256"] = hashlib.sha256(Path(schema_file).read_bytes()).hexdigest()
    return node


@tfx.dsl.components.component
def SchemaText(  # noqa: N802 (TFX names components like classes)
    schema: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Schema],
    text: tfx.dsl.components.Parameter[str],
) -> None:
    """Writes a schema from its text, which the compiled pipeline contains because a task cannot read the file."""
    io_utils.write_string_file(f"{schema.uri}/schema.pbtxt", text)


def schema_from_text(text: str) -> BaseNode:
    """Returns the node that replaces ImportSchemaGen on a cluster, where the schema file cannot be read."""
    return SchemaText(text=text)
