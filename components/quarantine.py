"""Counts the records that ExampleGen has read: the good ones by split and class, the bad ones by reason.

The counts are in `counts.json`, next to the records of the quarantine (`components.record_order`).
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from components import edits
from components.edits import Applied, Edited
from components.stage import plural
from ingest.label_edits import Edits

# Reasons of `components.record_check`, for which the data gate has a remedy.
OUT_OF_RANGE, DISAGREE = "class out of range", "label and class disagree"
QUARANTINE = "quarantine"  # the output of ExampleGen, and the prefix of its files
_COUNTS = "counts.json"
_FIRST = 3  # sources of each reason


class SourceCounts(NamedTuple):
    """The numbers of records of a record file.

    Attributes:
      source: the file, relative to the data folder.
      good: records that are used.
      bad: records in the quarantine.
      lost: the estimated number of records after a damaged place, which cannot be read.
      named: the number of records in the file's name, or None.
      dropped: records that `data.edits` leaves out.
    """

    source: str
    good: int
    bad: int
    lost: int
    named: int | None
    dropped: int = 0


class Reason(NamedTuple):
    """A reason for bad records: their number, and the first ones as 'FILE record N (detail)'."""

    records: int
    first: list[str]


class Counts(NamedTuple):
    """The numbers of records of all files.

    Attributes:
      good: records that are used.
      bad: records in the quarantine.
      lost: the estimated number of records that cannot be read, because they follow a damaged place.
      labels: the number of good records of each class index, by split.
      reasons: the bad records by reason.
      empty: the files without records.
      miscounted: the files with another number of records than in their names, as 'FILE (N)'.
      edited: see `components.edits`; None without `data.edits`. The file has no `records`.
    """

    good: int
    bad: int
    lost: int
    labels: dict[str, dict[int, int]]
    reasons: dict[str, Reason]
    empty: list[str]
    miscounted: list[str]
    edited: Edited | None = None

    @property
    def bad_fraction(self) -> float:
        """The fraction of all records that are bad or lost."""
        return (self.bad + self.lost) / max(1, self.good + self.bad + self.lost)


def write_counts(rows: Sequence[dict[str, Any]], folder: str, number: int) -> None:
    """Writes the counts of one Beam pipeline: `SourceCounts` of files, and what `record_order.Write` returns."""
    with tf.io.gfile.GFile(f"{folder}/{number}-{_COUNTS}", "w") as file:
        file.write(json.dumps(rows))


def merge_counts(folder: str, applied: Edits | None = None) -> Counts:
    """Replaces the files of `write_counts` by one file with all counts, and returns the counts.

    Args:
      folder: of the files.
      applied: the corrections of labels that were applied.
    """
    rows, paths = [], sorted(tf.io.gfile.glob(f"{folder}/*-{_COUNTS}"))
    for path in paths:
        with tf.io.gfile.GFile(path) as file:
            rows += json.loads(file.read())
    uses = [Applied(*use) for row in rows for use in row.get("edits", [])]
    counts = _merged(rows)._replace(edited=edits.count(uses, applied) if applied else None)
    stored = counts._replace(edited=counts.edited and counts.edited._replace(records=[]))
    with tf.io.gfile.GFile(f"{folder}/{_COUNTS}", "w") as file:
        file.write(json.dumps(stored._asdict()))
    for path in paths:
        tf.io.gfile.remove(path)
    return counts


def _merged(rows: Sequence[dict[str, Any]]) -> Counts:
    sources = sorted(SourceCounts(**row) for row in rows if "source" in row)
    labels: dict[str, Counter[int]] = {}
    reasons: dict[str, Reason] = {}
    for row in rows:
        if "labels" in row:
            labels.setdefault(row["split"], Counter()).update({int(key): n for key, n in row["labels"].items()})
        for reason, (count, first) in row.get("reasons", {}).items():
            before = reasons.get(reason, Reason(0, []))
            reasons[reason] = Reason(before.records + count, sorted(before.first + first)[:_FIRST])
    good, bad, lost = (sum(getattr(each, name) for each in sources) for name in ("good", "bad", "lost"))
    read = {each: each.good + each.bad + each.dropped for each in sources}
    return Counts(
        good,
        bad,
        lost,
        {split: dict(sorted(counter.items())) for split, counter in sorted(labels.items())},
        dict(sorted(reasons.items(), key=lambda item: (-item[1].records, item[0]))),
        [each.source for each, count in read.items() if not count and not each.lost],
        [f"{each.source} ({count:,})" for each, count in read.items() if each.named not in (None, count)],
    )


def read_counts(folder: str) -> Counts:
    """Returns the counts, given the folder of the quarantine."""
    with tf.io.gfile.GFile(f"{folder}/{_COUNTS}") as file:
        values = json.loads(file.read())
    labels = {split: {int(label): n for label, n in each.items()} for split, each in values["labels"].items()}
    reasons = {reason: Reason(*each) for reason, each in values["reasons"].items()}
    edited = values.get("edited") and Edited(*values["edited"])  # older versions have none
    return Counts(**{**values, "labels": labels, "reasons": reasons, "edited": edited})


def notices(counts: Counts) -> Iterator[str]:
    """Yields what a user should know about the records: bad and lost records, edits, empty and miscounted files."""
    if counts.bad or counts.lost:
        lost = f" (and about {counts.lost:,} that cannot be read)" if counts.lost else ""
        yield f"{plural(counts.bad, 'record')} in the quarantine{lost}"
    if counts.edited:
        yield from edits.notices(counts.edited)
    if counts.empty:
        yield f"{plural(len(counts.empty), 'empty file')}: {edits.listed(counts.empty)}"
    if counts.miscounted:
        files = plural(len(counts.miscounted), "file")
        yield (
            f"{files} with another number of records than in the name: {edits.listed(counts.miscounted)}; if the "
            "number in the name is not a count, --set data.counts_in_names=false"
        )
