"""Writes the near duplicates: a CSV file, a sheet of pictures, and a section of the report."""

from collections.abc import Mapping, Sequence
from typing import Any

from components import sections
from components.data_review import output
from components.data_review.neighbours import THRESHOLD, Pairs
from components.data_review.records import Photos, Record
from components.stage import plural
from ingest import sheet
from ingest.label_edits import SETTING
from ingest.names import printable, printable_class

_SHEET, _CSV = "duplicates.html", "duplicates.csv"
_TITLE = "Near duplicates"


def write(folder: str, photos: Photos, pairs: Pairs, records: Mapping[int, Record], classes: Sequence[str]) -> None:
    """Writes the files into the folder of the artifact.

    Args:
      folder: of the artifact.
      photos: all photos.
      pairs: in the order in which they are listed.
      records: those of the first `output.SHOWN` pairs.
      classes: the class names.
    """

    def fields(photo: int) -> list[str]:
        return [photos.names[photo], classes[photos.labels[photo]], photos.split(photo)]

    def card(photo: int, similarity: float) -> sheet.Card:
        name, label, split = fields(photo)
        lines = [printable(name), f"{printable_class(label)} · {split}", f"similarity {similarity:.3f}"]
        return sheet.Card(sheet.picture(records[photo].image), lines)

    found = list(zip(pairs.indices.tolist(), pairs.similarities.tolist(), strict=True))
    columns = ["similarity", "name", "label", "split", "other_name", "other_label", "other_split"]
    rows = [[f"{similarity:.4f}", *fields(left), *fields(right)] for (left, right), similarity in found]
    output.write_csv(f"{folder}/{_CSV}", columns, [dict(zip(columns, row, strict=True)) for row in rows])
    groups = [[card(photo, similarity) for photo in pair] for pair, similarity in found[: output.SHOWN]]
    section = sheet.Section("Pairs across splits or with different labels first", "", groups, pairs.total)
    text = _text(pairs)
    is_bad = bool(pairs.across or pairs.conflicting)
    output.write_sheet(f"{folder}/{_SHEET}", _TITLE, text, is_bad, _counts(pairs), section)
    first = [[*row[1:], row[0]] for row in rows[: output.IN_REPORT]]
    pictures = [
        output.small(records[left]) + output.small(records[right]) for (left, right), _ in found[: output.IN_REPORT]
    ]
    _write_section(folder, text, first, pictures)


def _text(pairs: Pairs) -> str:
    text = f"{plural(pairs.total, 'pair')} of photos with a cosine of their embeddings of at least {THRESHOLD}"
    text += f": {pairs.across:,} across splits, {pairs.conflicting:,} with different labels." if pairs.total else "."
    if pairs.across:
        text += (
            " A training photo that is nearly a judged photo makes the accuracy too high. To leave a photo out, add a "
            f"row with its name and an empty label to the file of {SETTING}."
        )
    return text


def _counts(pairs: Pairs) -> sheet.Table:
    counts = [("across splits", pairs.across), ("with different labels", pairs.conflicting), ("all", pairs.total)]
    return sheet.Table("Pairs", ["pairs", "number"], [[name, f"{count:,}"] for name, count in counts], (1,))


def _write_section(folder: str, text: str, rows: Sequence[Sequence[Any]], pictures: Sequence[Sequence[str]]) -> None:
    columns = ["file", "label", "split", "other file", "its label", "its split", "similarity"]
    sections.write(folder, _TITLE, text, columns if rows else [], rows, pictures=pictures, files=[_SHEET, _CSV])
