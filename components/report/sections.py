"""Sections of the page that other nodes write. Each section is a file in one of the node's artifacts."""

import json
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from components.report.sources import Sources

_FILE = "section.json"


def write(folder: str, title: str, text: str, columns: Sequence[str] = (), rows: Sequence[Sequence[Any]] = ()) -> None:
    """Writes a section into the folder of an artifact: a title, a paragraph and, if there are columns, a table.

    Values are strings or numbers. The page shows them as plain text, never as HTML.

    Raises:
      ValueError: when a row is longer or shorter than the columns.
    """
    if wrong := [row for row in rows if len(row) != len(columns)]:
        raise ValueError(f"section {title!r}: expected rows of {len(columns)} values, received {wrong[0]!r}")
    section = {"title": title, "text": text, "columns": list(columns), "rows": [list(row) for row in rows]}
    with tf.io.gfile.GFile(f"{folder}/{_FILE}", "w") as file:
        file.write(json.dumps(section))


def read(sources: Sources) -> list[dict[str, Any]]:
    """Returns {node, title, text, columns, rows} for each section of the run, in the order of the nodes."""
    sections = []
    for node in sources.nodes:
        for folder in node.artifacts.values():
            if tf.io.gfile.exists(f"{folder}/{_FILE}"):
                with tf.io.gfile.GFile(f"{folder}/{_FILE}") as file:
                    sections.append({"node": node.node, **json.loads(file.read())})
    return sections
