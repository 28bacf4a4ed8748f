"""The artifacts of the runs here, and the resolvers' queries over them: ML Metadata in place of a cluster's."""

import json
import re
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
import yaml
from ml_metadata.proto import metadata_store_pb2

Artifact = dict[str, Any]  # a RuntimeArtifact as JSON has it: name, uri, type, metadata

_TYPE, _METADATA = "type", "metadata"
_METADATA_OF = re.compile(r"\{\{\$\.inputs\.artifacts\['(\w+)'\]\.metadata\['(\w+)'\]\}\}")


class Store:
    """Artifacts in a SQLite file, by the names that a cluster would give them."""

    def __init__(self, path: Path):
        connection = metadata_store_pb2.ConnectionConfig()
        connection.sqlite.filename_uri = str(path)
        connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._store = mlmd.MetadataStore(connection)

    def put(self, artifact: Artifact) -> None:
        """Keeps an artifact that a task has finished."""
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
        """Returns the latest artifact that a resolver's filter finds, or none.

        The filter is of Vertex ML Metadata's language; ML Metadata's own has other names for the same. One that
        speaks of an input that was not found finds nothing.
        """
        asked = set(_METADATA_OF.findall(query))
        if not all(inputs[key] for key, _ in asked):
            return []
        query = _METADATA_OF.sub(lambda match: str(inputs[match[1]][0]["metadata"][match[2]]), query)
        text = query.replace("schema_title=", "type=")
        text = re.sub(r"\bmetadata\.(\w+)\.number_value\b", r"custom_properties.\1.double_value", text)
        options = mlmd.ListOptions(filter_query=text, order_by=mlmd.OrderByField.CREATE_TIME, is_asc=False, limit=1)
        return [
            {
                "name": found.name,
                "uri": found.uri,
                "type": json.loads(found.custom_properties[_TYPE].string_value),
                "metadata": json.loads(found.custom_properties[_METADATA].string_value),
            }
            for found in self._store.get_artifacts(list_options=options)
        ]


def title(type_schema: dict[str, str]) -> str:
    """Returns the schema title of an artifact's type.

    >>> title({"instanceSchema": "title: tfx.Model\\ntype: object"}), title({"schemaTitle": "system.Model"})
    ('tfx.Model', 'system.Model')
    """
    if "instanceSchema" in type_schema:
        return str(yaml.safe_load(type_schema["instanceSchema"])["title"])
    return type_schema["schemaTitle"]
