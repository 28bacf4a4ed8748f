"""Sections of the report that other nodes write. Each section is a file in one of the node's artifacts.

It is not in `components.report`, so that an edit of the report's pages does not rerun these nodes.
"""

import json
import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

FILE = "section.json"
_PICTURE = re.compile("data:image/jpeg;base64,[A-Za-z0-9+/]+=*")


def write(
    folder: str,
    title: str,
    text: str,
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[Any]] = (),
    *,
    pictures: Sequence[Sequence[str]] = (),
    files: Sequence[str] = (),
    commands: Sequence[str] = (),
) -> None:
    """Writes a section into the folder of an artifact: a title, a paragraph and, if there are columns, a table.

    Values are strings or numbers. The page shows them as plain text, never as HTML.

    Args:
      folder: of the artifact.
      title: of the section.
      text: the paragraph.
      columns: of the table.
      rows: of the table.
      pictures: the pictures of each row, as data URIs of JPEG files; the page shows them in the first column.
      files: names of files in the folder, which the page links to.
      commands: commands that the page shows below the paragraph.

    Raises:
      ValueError: when a row is longer or shorter than the columns, or a picture is not a data URI of a JPEG file.
    """
    if wrong := [row for row in rows if len(row) != len(columns)]:
        raise ValueError(f"section {title!r}: expected rows of {len(columns)} values, received {wrong[0]!r}")
    if any(not _PICTURE.fullmatch(uri) for row in pictures for uri in row):
        raise ValueError(f"section {title!r}: expected pictures as data:image/jpeg;base64,…")
    section = {"title": title, "text": text, "columns": list(columns), "rows": [list(row) for row in rows]}
    section |= {"pictures": [list(row) for row in pictures], "files": list(files), "commands": list(commands)}
    with tf.io.gfile.GFile(f"{folder}/{FILE}", "w") as file:
        file.write(json.dumps(section))
