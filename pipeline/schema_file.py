"""Validates the schema that `data.schema_file` names, before a run or a compilation."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

import schemas
from errors import UserError
from ingest.names import printable
from trainer.features import LABEL

SCHEMAS = schemas.FOLDER
_LISTED = 5  # names in a message


def check_schema(path: Path, classes: Sequence[str]) -> Path:
    """Returns the absolute path of a schema, after checking that it fits the classes and that Transform can use it.

    A name without a folder is a file in the current folder, or one of the curated schemas.

    Raises:
      UserError: when the schema cannot be read, has another number of classes or other names, or a shape that Transform
        cannot use.
    """
    curated = SCHEMAS / path.name
    path = (
        curated if path == Path(path.name) and not path.exists() and curated.exists() else path.expanduser().resolve()
    )
    try:
        schema = text_format.Parse(path.read_text(), schema_pb2.Schema())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise UserError(f"cannot read the schema {path} (data.schema_file): {error}") from None
    domains = [feature.int_domain for feature in schema.feature if feature.name == "class"]
    if not domains or not domains[0].HasField("max"):
        raise UserError(
            f"expected an int_domain with min and max for the feature 'class' in the schema {path}, received none; "
            "add it (data.schema_file)"
        )
    if (domains[0].min, domains[0].max) != (0, len(classes) - 1):
        raise UserError(
            f"expected class from 0 to {len(classes) - 1}, because data.classes has {len(classes)} names; received "
            f"{domains[0].min} to {domains[0].max} in the schema {path}. Change one of them (data.schema_file)"
        )
    names = _label_names(schema)
    if names is not None and set(names) != set(classes):
        raise UserError(
            f"expected the names of data.classes in the string_domain of label, received {_first(names)} in the schema "
            f"{path}. Change them to {_first(classes)} (data.schema_file)"
        )
    if problems := list(_shape_problems(schema)):
        raise UserError("\n  ".join([f"Transform cannot use the schema {path} (data.schema_file):", *problems]))
    return path


def _label_names(schema: schema_pb2.Schema) -> Sequence[str] | None:
    """Returns the values that the schema allows for the feature `label`, None if it does not list them."""
    for feature in schema.feature:
        if feature.name == LABEL:
            domains = [each for each in schema.string_domain if each.name == feature.domain] or [feature.string_domain]
            return domains[0].value or None
    return None


def _first(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names[:_LISTED])) + ", …" * (len(names) > _LISTED)


def _shape_problems(schema: schema_pb2.Schema) -> Iterator[str]:
    """Yields what would fail in Transform, which reads one value of `image` and one of `class` from each record."""
    for name, kind in (("image", "BYTES"), ("class", "INT")):
        found = [feature for feature in schema.feature if feature.name == name]
        if len(found) != 1:
            yield f"{name}: expected one feature with this name, received {len(found)}"
        elif (
            found[0].type != schema_pb2.FeatureType.Value(kind)
            or not found[0].HasField("shape")
            or [dim.size for dim in found[0].shape.dim] != [1]
            or found[0].presence.min_fraction != 1
        ):
            text = text_format.MessageToString(found[0], as_one_line=True)
            expected = f"type: {kind} presence {{ min_fraction: 1.0 }} shape {{ dim {{ size: 1 }} }}"
            yield f"{name}: expected {expected}, received {text}"
    for feature in schema.feature:
        if feature.name in ("image", "class"):
            continue
        if feature.type == schema_pb2.TYPE_UNKNOWN:
            yield f"{feature.name}: expected a type (BYTES, INT or FLOAT), received none"
        if feature.HasField("shape") and feature.presence.min_fraction != 1:
            yield f"{feature.name}: a shape needs presence {{ min_fraction: 1.0 }}; use value_count instead of a shape"
