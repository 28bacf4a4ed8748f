"""Writes the files that both parts of the review have: CSV files and sheets of pictures."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

import tensorflow as tf

from components.data_review.records import Record
from ingest import sheet

SHOWN = 100  # suspects and pairs on a sheet
IN_REPORT = 12
_SIDE = 112  # pixels of a picture in the report


def small(record: Record) -> list[str]:
    """Returns the picture of a record for the report, or [] if it cannot be decoded."""
    return [uri] if (uri := sheet.picture(record.image, _SIDE)) else []


def write_sheet(
    path: str, title: str, text: str, is_bad: bool, table: sheet.Table, section: sheet.Section, command: str = ""
) -> None:
    """Writes a sheet of pictures, with the command that the sheet suggests."""
    page = sheet.render(
        title=title,
        verdict=text,
        is_bad=is_bad,
        command=command,
        tables=[table] if table.rows else [],
        sections=[section] if section.groups else [],
    )
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(page.encode(errors="backslashreplace"))


def write_csv(path: str, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Writes rows by column; missing cells are empty. Lines end in CRLF, so that a CR in a name is quoted too."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="")
    writer.writeheader()
    writer.writerows(rows)
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(text.getvalue().encode())
