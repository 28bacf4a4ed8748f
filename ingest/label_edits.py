"""Corrects labels by a CSV file: each row has the digest or the name of a photo and its new label, or leaves it out.

`ingest photos --edits` and the setting `data.edits` read such a file. Rows may have names, because only `ingest photos`
writes digests.
"""

import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from errors import UserError, choices, quoted
from ingest.layouts import tables
from ingest.names import printable
from ingest.splitting import Photo

DROP = "drop"
DIGEST, NAME, NEW_LABEL = "digest", "name", "label"  # the columns
SETTING = "data.edits"
_DIGEST = re.compile("[0-9a-f]{32}")
_LISTED = 20  # digests and names in a notice


class Edits(NamedTuple):
    """The rows of a file.

    Attributes:
      labels: the new label by digest.
      names: the new label by the name of the record, from the rows without a digest.
      name: the file's name.
      sha256: of the file's content.
      names_of_digests: the name by digest, from the rows that have both.
    """

    labels: dict[bytes, str]
    names: dict[str, str]
    name: str
    sha256: str
    names_of_digests: Mapping[bytes, str] = MappingProxyType({})

    def find(self, digest: str, name: str) -> tuple[str, str] | None:
        """Returns the key and the new label of the row for a photo; None without a row.

        Args:
          digest: of the photo, in hex, or any text if the record has none.
          name: of the record.
        """
        label = self.labels.get(bytes.fromhex(digest)) if _DIGEST.fullmatch(digest) else None
        if label is not None:
            return digest, label
        return (name, self.names[name]) if name in self.names else None

    @property
    def keys(self) -> list[str]:
        """The digest or the name of each row."""
        return [*(digest.hex() for digest in self.labels), *self.names]


class Edited(NamedTuple):
    """The labels after the edits, None for photos that are left out; a summary; and notices to print."""

    labels: list[str | None]
    summary: str
    notices: list[str]


def read(path: Path, option: str = "--edits") -> Edits:
    """Returns the edits in a file on this machine; see `parse`.

    Args:
      path: the file.
      option: the flag or the setting that names it.

    Raises:
      UserError: when the file cannot be read, or `parse` raises it.
    """
    try:
        content = path.expanduser().read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the edits {printable(path)} ({option}): {error.strerror}") from None
    return parse(content, str(path))


def parse(content: bytes, path: str) -> Edits:
    """Returns the edits in the content of a file: CSV, UTF-8, with a header.

    The columns are `label`, and `digest` or `name` or both. A row has a digest, or only a name.

    Args:
      content: of the file.
      path: the file's path or URI.

    Raises:
      UserError: when the file lacks a column, or has a row that is not valid or contradicts another.
    """
    columns, rows = _read_table(content, path)
    of_digests: dict[bytes, str] = {}
    edits = Edits({}, {}, path.rpartition("/")[2], hashlib.sha256(content).hexdigest(), of_digests)
    _check_columns(columns, f"{printable(path)}, row 1", columns)
    for number, row in rows:
        where = f"{printable(path)}, row {number}"
        _check_columns([column for column, cell in row.items() if cell is not None], where, row)
        digest, name = (row.get(DIGEST) or "").strip().lower(), row.get(NAME) or ""
        if not _DIGEST.fullmatch(digest) and (digest or not name):
            raise UserError(
                f"{where}: expected a digest of 32 characters 0-9 and a-f or a name, received {quoted(digest)}"
            )
        if digest and name:
            of_digests[bytes.fromhex(digest)] = name
        before = (
            edits.labels.setdefault(bytes.fromhex(digest), row[NEW_LABEL])
            if digest
            else edits.names.setdefault(name, row[NEW_LABEL])
        )
        if before.strip() != row[NEW_LABEL].strip():
            raise UserError(
                f"{where}: expected one label for each digest, received two for {printable(digest or name)}"
            )
    return edits


def _read_table(content: bytes, path: str) -> tuple[Sequence[str], list[tuple[int, dict[str, str]]]]:
    """Returns the columns, and the rows with the numbers of their lines."""
    try:
        text = content.decode("utf-8-sig")
        delimiter = tables.delimiter_of(text.partition("\n")[0])
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        columns, rows = reader.fieldnames or [], [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{printable(path)}: expected CSV in UTF-8: {error}") from None
    if twice := [column for column in (NEW_LABEL, DIGEST, NAME) if columns.count(column) > 1]:
        raise UserError(f"{printable(path)}: expected one column {twice[0]}, received {columns.count(twice[0])}")
    return columns, rows


def _check_columns(found: Collection[str], where: str, received: Iterable[str]) -> None:
    if not (NEW_LABEL in found and {DIGEST, NAME} & set(found)):
        raise UserError(
            f"{where}: expected the columns {NEW_LABEL} and {DIGEST} or {NAME}; "
            f"received {quoted(list(map(str, received)))}"
        )


def resolve(edits: Edits, classes: Collection[str]) -> Edits:
    """Returns the edits with the names of classes as labels, and "" for photos that are left out.

    A photo is left out if its new label is empty, or `drop` unless that is the name of a class.

    Raises:
      UserError: when a new label is not the name of a class.
    """

    def resolved(label: str) -> str:
        if label in classes:
            return label
        if (text := label.strip()) in {*classes, "", DROP}:
            return text if text in classes else ""
        raise UserError(
            f"{printable(edits.name)}: unknown class {printable(quoted(text))}; "
            f"{printable(choices(text, sorted(classes)))}, or an empty label to leave the photo out"
        )

    return edits._replace(
        labels={digest: resolved(label) for digest, label in edits.labels.items()},
        names={name: resolved(label) for name, label in edits.names.items()},
    )


def checked(path: Path, classes: Collection[str]) -> Path:
    """Returns the absolute path of a file for `data.edits`.

    Raises:
      UserError: when the file cannot be read, or a row is not valid for the classes.
    """
    resolve(read(path, SETTING), classes)
    return path.expanduser().absolute()


def apply(edits: Edits, photos: Sequence[Photo]) -> Edited:
    """Returns the labels of the photos after the edits; see `resolve` and `Edits.find`.

    All copies of a photo get the label of the row with its digest. A row with a name is for the photos of this name.

    Raises:
      UserError: when a new label is not the name of a class.
    """
    edits = resolve(edits, {photo.label for photo in photos})
    found = [edits.find(photo.digest.hex(), photo.name) for photo in photos]
    labels = [(row[1] or None) if row else photo.label for row, photo in zip(found, photos, strict=True)]
    changed = sum(label not in (None, photo.label) for label, photo in zip(labels, photos, strict=True))
    counts = f"{changed:,} photo{'s' * (changed != 1)} relabelled, {labels.count(None):,} dropped"
    summary = f"{edits.name} sha256:{edits.sha256}: {counts}"
    return Edited(labels, summary, [f"{printable(edits.name)}: {counts}", *_without_one_photo(edits, found)])


def _without_one_photo(edits: Edits, found: Iterable[tuple[str, str] | None]) -> Iterator[str]:
    """Yields notices on rows that no photo has, and on names that several photos have, given the row of each photo."""
    photos = Counter(row[0] for row in found if row)
    for keys, says in (
        ([key for key in edits.keys if not photos[key]], "no photo has these digests or names"),
        ([name for name in edits.names if photos[name] > 1], "several photos have these names"),
    ):
        if keys:
            more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
            yield f"{printable(edits.name)}: {says}: {printable(', '.join(sorted(keys)[:_LISTED]))}{more}"
