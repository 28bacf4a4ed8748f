"""Corrections of labels by `data.edits`: reads the file, and counts what its rows did.

ExampleGen applies the rows (`components.record_check`). It keeps a copy of the file in the folder of its table.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from tfx import types

from components.stage import plural
from ingest import label_edits
from ingest.label_edits import Edits
from ingest.names import printable

FILE = "edits.csv"
PROPERTY = "edits"  # of the examples: the summary
DIGEST_PROPERTY = "edits_sha256"  # an execution property, so that the cache follows the content of the file
RELABELLED, UNCHANGED, DROPPED = "relabelled", "unchanged", "dropped"
_FIRST = 3  # keys in a notice


class Edit(NamedTuple):
    """What a row did to a record: the row's digest or name, and RELABELLED, UNCHANGED or DROPPED."""

    key: str
    kind: str


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
    """

    file: str
    sha256: str
    relabelled: int
    unchanged: int
    dropped: int
    unmatched: list[str]
    repeated: list[str]

    @property
    def summary(self) -> str:
        """One line, for example 'edits.csv: 3 records relabelled, 1 dropped'."""
        unchanged = f", {self.unchanged:,} unchanged" if self.unchanged else ""
        return f"{self.file}: {plural(self.relabelled, 'record')} relabelled, {self.dropped:,} dropped{unchanged}"


def read(uri: str, classes: Sequence[str]) -> Edits:
    """Returns the rows of a file, local or in a bucket.

    Raises:
      UserError: when the file is not valid, or a new label is not the name of a class.
    """
    with tf.io.gfile.GFile(uri, "rb") as file:
        return label_edits.resolve(label_edits.parse(file.read(), uri, by_name=True), classes)


def count(uses: Iterable[tuple[str, str, int]], edits: Edits) -> Edited:
    """Returns the counts, given a key, a kind and the number of records for each use of a row."""
    kinds, keys = Counter[str](), Counter[str]()
    for key, kind, records in uses:
        kinds[kind] += records
        keys[key] += records
    return Edited(
        edits.name,
        edits.sha256,
        kinds[RELABELLED],
        kinds[UNCHANGED],
        kinds[DROPPED],
        unmatched=[key for key in edits.keys if not keys[key]],
        repeated=[name for name in edits.names if keys[name] > 1],
    )


def record(edited: Edited, uri: str, table: types.Artifact, examples: types.Artifact) -> None:
    """Copies the file to the table of the photos, and sets PROPERTY of the examples."""
    tf.io.gfile.copy(uri, f"{table.uri}/{FILE}", overwrite=True)
    examples.set_string_custom_property(PROPERTY, f"{edited.summary} (sha256:{edited.sha256})")


def notices(edited: Edited) -> Iterator[str]:
    """Yields what a user should know about the rows."""
    yield printable(edited.summary)
    for keys, text in ((edited.unmatched, "without a record"), (edited.repeated, "with several records")):
        if keys:
            yield f"{plural(len(keys), 'row')} {text}: {printable(listed(keys))}"


def listed(keys: Sequence[str]) -> str:
    """Returns the first keys as text."""
    return ", ".join(keys[:_FIRST]) + (" …" if len(keys) > _FIRST else "")


def as_row(edits: Counter[Edit]) -> dict[str, Any]:
    """Returns the uses of rows as JSON values, a row for `quarantine.write_counts`."""
    return {"edits": [[*edit, records] for edit, records in edits.items()]}
