"""Counts the photos of a bulk prediction by class and, if they were not used, by reason."""

import json
from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf

from components.bulk.reading import LOST, READ
from components.bulk.table import Row
from components.stage import plural
from trainer.features import LABEL, STATUS

_FILE = "_counts.json"  # readers of Parquet folders ignore names that begin with _
_USED, _UNUSED = "used", "unused"
_KEY = tuple[str, str]


class Counts(NamedTuple):
    """The numbers of photos.

    Attributes:
      classes: the photos by their most probable class.
      unused: the photos, records and files that were not used, by reason.
      read: the records or files that were read.
      lost: the estimated number of records after a damaged place, which cannot be read and have no row.
      skipped: the files in a folder of photos that are not named as photos, and have no row.
    """

    classes: dict[str, int]
    unused: dict[str, int]
    read: int
    lost: int
    skipped: int

    @property
    def rows(self) -> int:
        """The number of rows."""
        return sum(self.classes.values()) + sum(self.unused.values())


def of_row(row: Row) -> tuple[_KEY, int]:
    """Returns what a row adds to the counts: a key and 1."""
    reason = row[STATUS].partition(": ")[0]
    return ((_UNUSED, reason) if reason else (_USED, row[LABEL])), 1


def write(sums: Iterable[tuple[_KEY, int]], folder: str, skipped: int) -> None:
    """Writes the sums by key into a folder."""
    found = sorted(sums)
    classes, unused = ({name: n for (kind, name), n in found if kind == wanted} for wanted in (_USED, _UNUSED))
    read_records, lost = (sum(n for (kind, _), n in found if kind == wanted) for wanted in (READ, LOST))
    counts = Counts(classes, unused, read_records, lost, skipped)
    with tf.io.gfile.GFile(f"{folder}/{_FILE}", "w") as file:
        file.write(json.dumps(counts._asdict(), indent=2))


def read(folder: str) -> Counts | None:
    """Returns the counts; None if nothing was predicted, because the model was not pushed."""
    if not tf.io.gfile.exists(f"{folder}/{_FILE}"):
        return None
    with tf.io.gfile.GFile(f"{folder}/{_FILE}") as file:
        return Counts(**json.loads(file.read()))


def lines(counts: Counts) -> list[str]:
    """Returns lines for people: the number of photos, of each class, and of each reason."""
    unused = sum(counts.unused.values())
    found = [f"{plural(counts.rows, 'photo')}, {unused:,} of them not used"]
    for kind, each in (("class", counts.classes), ("not used", counts.unused)):
        ranked = sorted(each.items(), key=lambda item: (-item[1], item[0]))
        found += [f"{kind}: {name} {n:,}" for name, n in ranked]
    if counts.lost:
        found.append(f"lost: about {plural(counts.lost, 'record')} after a damaged place, without a row")
    if counts.skipped:
        found.append(
            f"skipped: {plural(counts.skipped, 'file')} that {'is' if counts.skipped == 1 else 'are'} no photo"
        )
    return found
