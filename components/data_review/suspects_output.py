"""Writes the suspects: edits.csv, a sheet of pictures, and a section of the report."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from components import sections
from components.data_review import output
from components.data_review.records import Photos, Record
from components.data_review.suspects import FEWEST, Suspects
from components.edits import FILE, Applied
from components.stage import plural
from ingest import sheet
from ingest.label_edits import DIGEST, NAME, NEW_LABEL, SETTING, Edits
from ingest.names import printable, printable_class
from ingest.split_names import TRAIN
from storage.local_paths import to_uri

_SHEET = "suspects.html"
_TITLE = "Labels that may be wrong"
_HOW = (
    f"The command applies all rows of {FILE}. To apply some, copy the file and delete the rows of photos whose label "
    "is right, or write that label into the row, so that the photo is not listed again."
)


class _Suspect(NamedTuple):
    """A photo, its given and likely class, and their probabilities."""

    name: str
    split: str
    record: Record
    given: str
    likely: str
    own: float
    other: float


def write(
    folder: str,
    photos: Photos,
    suspects: Suspects,
    records: Mapping[int, Record],
    classes: Sequence[str],
    edits: Edits | None,
    applied: Sequence[Applied],
    command: str,
) -> None:
    """Writes the files into the folder of the artifact.

    Args:
      folder: of the artifact.
      photos: all photos.
      suspects: without those that have a row in `edits`.
      records: those of the suspects.
      classes: the class names.
      edits: the edits of this run, which edits.csv repeats.
      applied: what they did to each record.
      command: reruns the pipeline.
    """
    found = _found(photos, suspects, records, classes)
    rows = _rows(found, photos.repeated)
    columns = [NAME, DIGEST, NEW_LABEL, "given", "split", "margin"]
    output.write_csv(f"{folder}/{FILE}", columns, [*rows.values(), *_rows_of(edits, applied)])
    text = _text(suspects, len(photos.names), sum(_key(each) not in rows for each in found), classes)
    text += _held_out(found)
    apply = [f"{command} --set {SETTING}={shlex.quote(f'{to_uri(folder)}/{FILE}')}"] if rows else []
    cards = [[_card(each)] for each in found[: output.SHOWN]]
    section = sheet.Section("The most certain first", _HOW if rows else "", cards, len(found))
    output.write_sheet(f"{folder}/{_SHEET}", _TITLE, text, bool(found), _by_class(found), section, *apply)
    how = f" Look at {_SHEET}. {_HOW}" if rows else ""
    _write_section(folder, text + how, found[: output.IN_REPORT], apply)


def _found(photos: Photos, suspects: Suspects, records: Mapping[int, Record], classes: Sequence[str]) -> list[_Suspect]:
    numbers = zip(suspects.photos.tolist(), suspects.likely.tolist(), suspects.probabilities.tolist(), strict=True)
    return [
        _Suspect(
            photos.names[photo],
            photos.split(photo),
            records[photo],
            classes[photos.labels[photo]],
            classes[likely],
            *probabilities,
        )
        for photo, likely, probabilities in numbers
    ]


def _key(suspect: _Suspect) -> str:
    return suspect.record.digest or suspect.name


def _rows(found: Sequence[_Suspect], repeated: set[str]) -> dict[str, dict[str, str]]:
    """Returns the rows of edits.csv by digest, or by name for records without a digest.

    There is no row for a name that several photos have, and for a digest with several likely classes.
    """
    labels: dict[str, set[str]] = {}
    for each in found:
        labels.setdefault(_key(each), set()).add(each.likely)
    usable = [
        each for each in found if len(labels[_key(each)]) == 1 and (each.record.digest or each.name not in repeated)
    ]
    return {
        _key(each): {
            NAME: each.name,
            DIGEST: each.record.digest,
            NEW_LABEL: each.likely,
            "given": each.given,
            "split": each.split,
            "margin": f"{each.own - each.other:.4f}",
        }
        for each in usable
    }


def _rows_of(edits: Edits | None, applied: Sequence[Applied]) -> list[dict[str, str]]:
    """Returns the rows of this run's edits, with the name, the class and the split of the record that each changed."""
    if not edits:
        return []
    records = {each.key: each for each in reversed(applied)}  # of copies, the first
    rows = []
    for digest, label in edits.labels.items():
        name = edits.names_of_digests.get(digest, "")
        rows.append({**_changed(records.get(digest.hex()), name), DIGEST: digest.hex(), NEW_LABEL: label})
    return rows + [{**_changed(records.get(name), name), NEW_LABEL: label} for name, label in edits.names.items()]


def _changed(record: Applied | None, name: str) -> dict[str, str]:
    return {NAME: name or record.name, "given": record.was, "split": record.split} if record else {NAME: name}


def _text(suspects: Suspects, photos: int, without_row: int, classes: Sequence[str]) -> str:
    if suspects.problem:
        return f"The labels were not judged: {suspects.problem}."
    count = len(suspects.photos)
    text = f"{count:,} of {plural(photos, 'photo')} may have a wrong label"
    text += ": judged by the other photos, another class is more probable." if count else "."
    if without_row:
        photos_have = plural(without_row, "photo has", "photos have")
        text += f" {photos_have} no row, because other photos have the same name, or the same pixels and another class."
    if suspects.not_judged:
        few = ", ".join(printable_class(classes[label]) for label in suspects.not_judged)
        text += f" Classes with fewer than {FEWEST} photos are not judged: {few}."
    return text


def _held_out(found: Sequence[_Suspect]) -> str:
    """Returns a sentence about the suspects in the splits on which the accuracy is computed, or ''."""
    splits = [each.split for each in found if each.split != TRAIN]
    if not splits:
        return ""
    are = "is" if len(splits) == 1 else "are"
    where = " or ".join(sorted(set(splits)))
    return f" {len(splits):,} of them {are} in {where}. Wrong edits there make the accuracy too high."


def _card(suspect: _Suspect) -> sheet.Card:
    given, likely = printable_class(suspect.given), printable_class(suspect.likely)
    change = f"{given} ({suspect.own:.0%}) → {likely} ({suspect.other:.0%})"
    return sheet.Card(sheet.picture(suspect.record.image), [printable(suspect.name), change, suspect.split])


def _by_class(found: Sequence[_Suspect]) -> sheet.Table:
    changes = Counter((printable_class(each.given), printable_class(each.likely)) for each in found)
    rows = [[given, likely, f"{count:,}"] for (given, likely), count in changes.most_common()]
    return sheet.Table("Suspects by class", ["label", "likely class", "photos"], rows, (2,))


def _write_section(folder: str, text: str, found: Sequence[_Suspect], commands: Sequence[str]) -> None:
    columns = ["file", "split", "label", "its probability", "likely class", "its probability"]
    rows = [
        [each.name, each.split, printable_class(each.given), f"{each.own:.3f}"]
        + [printable_class(each.likely), f"{each.other:.3f}"]
        for each in found
    ]
    sections.write(
        folder,
        _TITLE,
        text,
        columns if found else [],
        rows,
        pictures=[output.small(each.record) for each in found],
        files=[_SHEET, FILE],
        commands=commands,
    )
