"""Corrections of labels by `data.edits`: reads the file, and counts what its rows did.

ExampleGen applies the rows (`components.record_check`). It keeps a copy of the file in the folder of its table, and a
list of the records.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tfx import types

from components.stage import plural
from ingest import label_edits
from ingest.label_edits import Edits
from ingest.names import printable
from ingest.split_names import SPLITS
from storage.files import fileio

FILE = "edits.csv"
PROPERTY = "edits"  # of the examples: the summary
DIGEST_PROPERTY = "edits_sha256"  # an execution property, so that the cache follows the content of the file
RELABELLED, UNCHANGED, DROPPED = "relabelled", "unchanged", "dropped"
NO_SPLIT = "none"  # of a record without a photo that is left out, if the photo decides the split
_APPLIED = "edited.json"
_FIRST = 3  # keys in a notice


class Edit(NamedTuple):
    """What a row does to a record.

    Attributes:
      key: the row's digest or name.
      kind: RELABELLED, UNCHANGED or DROPPED.
      name: of the record.
      was: the record's own class, or '' if it is not valid.
    """

    key: str
    kind: str
    name: str
    was: str


class Applied(NamedTuple):
    """An `Edit`, the split of its record, and the FarmHash of the changed record in hex ('' if it is left out)."""

    key: str
    kind: str
    name: str
    was: str
    split: str
    photo: str


class Edited(NamedTuple):
    """What all rows did.

    Attributes:
      file: the file's name.
      sha256: of the file.
      relabelled: records with a new label.
      unchanged: records that already had the label.
      dropped: records that are left out.
      unmatched: the digests or names in rows that no record has, among the records that can be used.
      repeated: names in rows that several records have.
      splits: by split, the number of records of each kind.
      records: the records; `record` stores them, and `read_applied` reads them.
    """

    file: str
    sha256: str
    relabelled: int
    unchanged: int
    dropped: int
    unmatched: list[str]
    repeated: list[str]
    splits: dict[str, dict[str, int]] = {}
    records: list[Applied] = []

    @property
    def summary(self) -> str:
        """One line, for example 'edits.csv: 3 records relabelled (train 2, test 1), 0 dropped'."""
        relabelled = f"{plural(self.relabelled, 'record')} relabelled{self.by_split(RELABELLED)}"
        unchanged = f", {self.unchanged:,} unchanged" if self.unchanged else ""
        return f"{self.file}: {relabelled}, {self.dropped:,} dropped{self.by_split(DROPPED)}{unchanged}"

    def by_split(self, kind: str) -> str:
        """Returns the numbers of a kind by split, for example ' (train 2, test 1)', or ''."""
        counts = [f"{split} {each[kind]:,}" for split, each in self.splits.items() if each[kind]]
        return f" ({', '.join(counts)})" if counts else ""


def read(uri: str, classes: Sequence[str]) -> Edits:
    """Returns the rows of a file, local or in a bucket.

    Raises:
      UserError: when the file is not valid, or a new label is not the name of a class.
    """
    with fileio.open(uri, "rb") as file:
        return label_edits.resolve(label_edits.parse(file.read(), uri), classes)


def count(uses: Iterable[Applied], edits: Edits) -> Edited:
    """Returns what all rows did, given what they did to each record."""
    records = sorted(uses)
    kinds, keys = Counter(each.kind for each in records), Counter(each.key for each in records)
    of_splits = Counter((each.split, each.kind) for each in records)
    found = {each.split for each in records}
    return Edited(
        edits.name,
        edits.sha256,
        kinds[RELABELLED],
        kinds[UNCHANGED],
        kinds[DROPPED],
        unmatched=[key for key in edits.keys if not keys[key]],
        repeated=[name for name in edits.names if keys[name] > 1],
        splits={
            split: {kind: of_splits[split, kind] for kind in (RELABELLED, UNCHANGED, DROPPED)}
            for split in (*SPLITS, NO_SPLIT)
            if split in found
        },
        records=records,
    )


def record(edited: Edited, uri: str, table: types.Artifact, examples: types.Artifact) -> None:
    """Copies the file to the table of the photos, lists the records there, and sets PROPERTY of the examples."""
    fileio.copy(uri, f"{table.uri}/{FILE}", overwrite=True)
    with tf.io.gfile.GFile(f"{table.uri}/{_APPLIED}", "w") as file:
        file.write(json.dumps([each._asdict() for each in edited.records], indent=1))
    examples.set_string_custom_property(PROPERTY, f"{edited.summary} (sha256:{edited.sha256})")


def read_applied(table: str) -> list[Applied]:
    """Returns what the rows did to each record, given the folder of the table; [] without `data.edits`."""
    if not tf.io.gfile.exists(f"{table}/{_APPLIED}"):
        return []
    with tf.io.gfile.GFile(f"{table}/{_APPLIED}") as file:
        return [Applied(**each) for each in json.loads(file.read())]


def relabelled(table: str) -> dict[str, str]:
    """Returns the own classes of the relabelled records, by their FarmHash in hex; see `read_applied`."""
    return {each.photo: each.was for each in read_applied(table) if each.kind == RELABELLED}


def notices(edited: Edited) -> Iterator[str]:
    """Yields what a user should know about the rows."""
    yield printable(edited.summary)
    for keys, text in ((edited.unmatched, "without a record"), (edited.repeated, "with several records")):
        if keys:
            yield f"{plural(len(keys), 'row')} {text}: {printable(listed(keys))}"


def listed(keys: Sequence[str]) -> str:
    """Returns the first keys as text."""
    return ", ".join(keys[:_FIRST]) + (" …" if len(keys) > _FIRST else "")


def as_row(applied: Sequence[Applied]) -> dict[str, Any]:
    """Returns what the rows did as JSON values, a row for `quarantine.write_counts`."""
    return {"edits": [list(each) for each in applied]}
