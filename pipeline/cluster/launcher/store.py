"""Stores the launcher's artifacts in ML Metadata, and answers the resolvers' queries."""

import json
import re
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
import yaml
from ml_metadata.proto import metadata_store_pb2

Artifact = dict[str, Any]  # a RuntimeArtifact in JSON: name, uri, type, metadata

_TYPE, _METADATA = "type", "metadata"
_STATES = metadata_store_pb2.Artifact.State
_NUMBER = "number_value"
_CONDITION = re.compile(rf'(schema_title|name|state|metadata\.\w+\.{_NUMBER})="?([^"]*)"?')
_METADATA_OF = re.compile(r"\{\{\$\.inputs\.artifacts\['(\w+)'\]\.metadata\['(\w+)'\]\}\}")


class Store:
    """Artifacts in a SQLite file, under the names that a cluster gives them."""

    def __init__(self, path: Path):
        connection = metadata_store_pb2.ConnectionConfig()
        connection.sqlite.filename_uri = str(path)
        connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store = mlmd.MetadataStore(connection)

    def put(self, artifact: Artifact) -> None:
        """Stores an artifact of a finished task."""
        kind = metadata_store_pb2.ArtifactType(name=title(artifact["type"]))
        type_id = self._store.put_artifact_type(kind, can_add_fields=True)
        kept = metadata_store_pb2.Artifact(
            type_id=type_id, name=artifact["name"], uri=artifact["uri"], state=metadata_store_pb2.Artifact.LIVE
        )
        kept.custom_properties[_TYPE].string_value = json.dumps(artifact["type"])
        kept.custom_properties[_METADATA].string_value = json.dumps(artifact.get("metadata", {}))
        for key, value in artifact.get("metadata", {}).items():
            if isinstance(value, str):
                kept.custom_properties[key].string_value = value
            elif isinstance(value, int | float):
                kept.custom_properties[key].double_value = value
        self._store.put_artifacts([kept])

    def latest(self, query: str, inputs: dict[str, list[Artifact]]) -> list[Artifact]:
        """Returns a list with the latest artifact that matches a resolver's filter; an empty list if none does.

        The filter is in the language of Vertex ML Metadata: conditions that TFX compiles, joined by AND. A filter that
        refers to an empty input matches nothing.

        Raises:
          ValueError: when the filter has another kind of condition.
        """
        if not all(inputs[key] for key, _ in _METADATA_OF.findall(query)):
            return []
        query = _METADATA_OF.sub(lambda match: str(inputs[match[1]][0]["metadata"][match[2]]), query)
        wanted = dict(_condition(each) for each in query.split(" AND "))
        found = [each for each in self._store.get_artifacts_by_type(wanted["schema_title"]) if _meets(each, wanted)]
        return [
            {
                "name": latest.name,
                "uri": latest.uri,
                "type": json.loads(latest.custom_properties[_TYPE].string_value),
                "metadata": json.loads(latest.custom_properties[_METADATA].string_value),
            }
            for latest in sorted(found, key=lambda each: each.id)[-1:]
        ]


def _condition(text: str) -> tuple[str, str | float]:
    """Returns the name and value of a condition.

    >>> _condition('name="a"'), _condition("metadata.blessed.number_value=1")
    (('name', 'a'), ('metadata.blessed.number_value', 1.0))
    """
    match = _CONDITION.fullmatch(text.strip())
    if not match:
        forms = 'schema_title="…", name="…", state=… or metadata.KEY.number_value=…'
        raise ValueError(f"cannot answer the resolver's query: expected {forms}, received {text!r}")
    name, value = match.groups()
    return name, float(value) if name.endswith(_NUMBER) else value


def _meets(artifact: metadata_store_pb2.Artifact, wanted: dict[str, str | float]) -> bool:
    """Returns whether an artifact meets all conditions."""
    values = {"schema_title": artifact.type, "name": artifact.name, "state": _STATES.Name(artifact.state)}
    numbers = {k: v.double_value for k, v in artifact.custom_properties.items() if v.HasField("double_value")}
    values |= {f"metadata.{key}.{_NUMBER}": value for key, value in numbers.items()}
    return all(values.get(key) == value for key, value in wanted.items())


def title(type_schema: dict[str, str]) -> str:
    """Returns the schema title of an artifact's type.

    >>> title({"instanceSchema": "title: tfx.Model\\ntype: object"}), title({"schemaTitle": "system.Model"})
    ('tfx.Model', 'system.Model')
    """
    if "instanceSchema" in type_schema:
        return str(yaml.safe_load(type_schema["instanceSchema"])["title"])
    return type_schema["schemaTitle"]
