"""Corrects labels by a CSV file: each row has the digest of a photo and its new label, or leaves the photo out."""

import csv
import hashlib
import io
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from errors import UserError, choices, quoted
from ingest.layouts import tables
from ingest.names import printable
from ingest.splitting import Photo

DROP = "drop"
_COLUMNS = ("digest", "label")
_DIGEST = re.compile("[0-9a-f]{32}")
_LISTED = 20  # unknown digests in a notice


class Edits(NamedTuple):
    """The rows of a file: the new label by digest; and the file's name and SHA-256."""

    labels: dict[bytes, str]
    name: str
    sha256: str


class Edited(NamedTuple):
    """The labels after the edits, None for photos that are left out; a summary; and notices to print."""

    labels: list[str | None]
    summary: str
    notices: list[str]


def read(path: Path) -> Edits:
    """Reads a file of edits: CSV, UTF-8, with a header that has the columns `digest` and `label`.

    Raises:
      UserError: when the file cannot be read, lacks a column, or has a row that is not valid or contradicts another.
    """
    try:
        content = path.expanduser().read_bytes()
        text = content.decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=tables.delimiter_of(text.partition("\n")[0]))
        columns, rows = reader.fieldnames or [], [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise UserError(f"cannot read {printable(path)} (--edits): {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{printable(path)}: expected CSV in UTF-8: {error}") from None
    labels: dict[bytes, str] = {}
    _check_columns(columns, f"{printable(path)}, row 1", columns)
    for number, row in rows:
        where = f"{printable(path)}, row {number}"
        _check_columns([column for column, cell in row.items() if cell is not None], where, row)
        digest, label = row["digest"].strip().lower(), row["label"].strip()
        if not _DIGEST.fullmatch(digest):
            raise UserError(f"{where}: expected a digest of 32 characters 0-9 and a-f, received {quoted(digest)}")
        if labels.setdefault(bytes.fromhex(digest), label) != label:
            raise UserError(f"{where}: expected one label for each digest, received two for {digest}")
    return Edits(labels, path.name, hashlib.sha256(content).hexdigest())


def _check_columns(found: Collection[str], where: str, received: Iterable[str]) -> None:
    if not set(_COLUMNS) <= set(found):
        raise UserError(
            f"{where}: expected the columns {' and '.join(_COLUMNS)}; received {quoted(list(map(str, received)))}. "
            "For a page with the digests: python -m ingest check PHOTOS_DIR --html FILE"
        )


def apply(edits: Edits, photos: Sequence[Photo]) -> Edited:
    """Returns the labels of the photos after the edits. All copies of a photo get the new label.

    A photo is left out if its new label is empty, or `drop` unless that is the name of a class.

    Raises:
      UserError: when a new label is not the name of a class.
    """
    classes = {photo.label for photo in photos}
    for label in edits.labels.values():
        if label not in {*classes, "", DROP}:
            raise UserError(
                f"{printable(edits.name)}: unknown class {printable(quoted(label))}; "
                f"{printable(choices(label, sorted(classes)))}, or an empty label to leave the photo out"
            )
    dropped = {"", DROP} - classes
    labels: list[str | None] = []
    for photo in photos:
        label = edits.labels.get(photo.digest, photo.label)
        labels.append(None if label in dropped else label)
    changed = sum(label not in (None, photo.label) for label, photo in zip(labels, photos, strict=True))
    counts = f"{changed:,} photo{'s' * (changed != 1)} relabelled, {labels.count(None):,} dropped"
    summary = f"{edits.name} sha256:{edits.sha256}: {counts}"
    return Edited(labels, summary, [f"{printable(edits.name)}: {counts}", *_unknown(edits, photos)])


def _unknown(edits: Edits, photos: Sequence[Photo]) -> list[str]:
    unknown = [digest.hex() for digest in edits.labels.keys() - {photo.digest for photo in photos}]
    more = f" and {len(unknown) - _LISTED} more" if len(unknown) > _LISTED else ""
    listed = ", ".join(sorted(unknown)[:_LISTED])
    return [f"{printable(edits.name)}: no photo has these digests: {listed}{more}"] if unknown else []
