"""Derives a dataset's schema from the curated schema of the flowers, with other classes."""

from collections.abc import Sequence
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import schemas

FLOWERS = Path(schemas.__file__).parent / "flowers.pbtxt"


def for_classes(classes: Sequence[str]) -> schema_pb2.Schema:
    """Returns the schema for records whose `class` is an index into `classes`."""
    schema = text_format.Parse(FLOWERS.read_text(encoding="utf-8"), schema_pb2.Schema())
    features = {feature.name: feature for feature in schema.feature}
    features["class"].int_domain.max = len(classes) - 1
    features["one_hot_class"].value_count.min = features["one_hot_class"].value_count.max = len(classes)
    (labels,) = (domain for domain in schema.string_domain if domain.name == "label")
    labels.value[:] = classes
    return schema


def to_text(schema: schema_pb2.Schema) -> str:
    """Returns a schema as pbtxt, the format of `data.schema_file`."""
    return text_format.MessageToString(schema, as_utf8=True)
