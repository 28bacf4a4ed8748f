"""Writes the photos that a server has kept as files to label: `python -m ingest kept`.

The result is a manifest for `ingest photos`, whose column `label` a person fills in.
"""

import csv
import hashlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from errors import UserError
from ingest import kept, sheet
from ingest.names import printable
from ingest.paths import exists
from ingest.target import atomic_folder, check_free

LABELS, SHEET = "labels.csv", "sheet.html"
_ENDINGS = {b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp"}
_SHOWN = 500  # photos on the sheet


class _Row(NamedTuple):
    """A row of `labels.csv`; the fields are the columns."""

    path: str
    label: str
    predicted: str
    probability: float
    version: int
    record: str


def run(source: Path, command: str, to: Path) -> int:
    """Writes the kept photos, `labels.csv` with the least certain first, and a sheet of pictures; returns 0.

    Equal photos are written once. The column `label` is empty, so that no prediction becomes a label unseen.

    Args:
      source: the folder of `--keep`.
      command: the command, for the sheet.
      to: a new or empty folder.

    Raises:
      UserError: when no photo was kept, or the folder has a `labels.csv` or cannot be written.
    """
    if exists(to / LABELS):
        raise UserError(
            f"--to: expected a new folder, received {printable(to)}, whose {LABELS} may contain labels; "
            "choose a new folder"
        )
    check_free(to)
    try:
        with atomic_folder(to, last=LABELS) as folder:
            folder.chmod(0o700)  # the photos of `--keep` are private
            photos, unread = _write_photos(source, folder)
            rows = sorted(photos, key=lambda row: (row.probability, row.record))
            with (folder / LABELS).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([_Row._fields, *rows])
            _write_sheet(folder, rows, f"Photos in {printable(source)}", command)
    except OSError as error:
        raise UserError(
            f"cannot write the kept photos to {printable(to)}: {error.strerror or error}; give another folder (--to)"
        ) from None
    print(f"{len(rows):,} photos, the least certain first: {printable(to / SHEET)}")
    if unread:
        print(f"left out: {len(unread):,} files and records that cannot be read, the first is {unread[0]}")
    labels = printable(shlex.quote(str(to / LABELS)))
    print(f"fill in the column label of {printable(to / LABELS)}, then: python -m ingest photos {labels} --to DIR")
    return 0


def _write_photos(source: Path, folder: Path) -> tuple[list[_Row], list[kept.Place]]:
    """Writes the photos; returns their rows, and the places of records that cannot be read."""
    rows: dict[str, _Row] = {}
    unread = []
    for place, each in kept.read(source):
        if each is None:
            unread.append(place)
            continue
        name = hashlib.sha256(each.image).hexdigest()[:32]
        if each.image and name not in rows:
            ending = next((text for start, text in _ENDINGS.items() if each.image.startswith(start)), ".jpg")
            (folder / f"{name}{ending}").write_bytes(each.image)
            label = each.label.decode(errors="replace")
            rows[name] = _Row(f"{name}{ending}", "", label, round(each.probability, 4), each.version, str(place))
    if not rows:
        raise UserError(f"the answers in {printable(source)} have no photos; start the server with --keep-photos")
    return list(rows.values()), unread


def _write_sheet(folder: Path, rows: Sequence[_Row], title: str, command: str) -> None:
    cards = [
        [
            sheet.Card(
                sheet.picture((folder / row.path).read_bytes()),
                [f"row {number}", row.predicted, f"{row.probability:.2f}", row.path],
            )
        ]
        for number, row in enumerate(rows[:_SHOWN], 2)
    ]
    section = sheet.Section(
        "Photos and predictions",
        f"The least certain first. The rows are those of {LABELS}; row 1 names the columns.",
        cards,
        len(rows),
    )
    verdict = f"{len(rows):,} photos to label in {LABELS}"
    sheet.write(
        folder / SHEET, title=title, verdict=verdict, is_bad=False, command=command, tables=[], sections=[section]
    )
