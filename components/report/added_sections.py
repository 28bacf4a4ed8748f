"""Reads the sections that other nodes write; see `components.sections`."""

import json
from typing import Any

import tensorflow as tf

from components.report.sources import Sources
from components.sections import FILE

_OPTIONAL: dict[str, list[Any]] = {"pictures": [], "files": [], "commands": []}  # older versions have none


def read(sources: Sources) -> list[dict[str, Any]]:
    """Returns the sections of the run in the order of the nodes: what `sections.write` received, the node and an id."""
    sections: list[dict[str, Any]] = []
    for node in sources.nodes:
        for output, folder in node.artifacts.items():
            if tf.io.gfile.exists(f"{folder}/{FILE}"):
                with tf.io.gfile.GFile(f"{folder}/{FILE}") as file:
                    place = {"node": node.node, "id": node.node, "folder": folder}
                    if sections and sections[-1]["node"] == node.node:
                        place["id"] = f"{node.node}-{output}"
                    sections.append({**place, **_OPTIONAL, **json.loads(file.read())})
    return sections


def without_pictures(section: dict[str, Any]) -> dict[str, Any]:
    """Returns a section for `report.json`."""
    return {name: value for name, value in section.items() if name != "pictures"}
