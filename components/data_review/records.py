"""Reads what the review needs of the records: the table and embeddings of all photos, and the records of a few."""

from collections import Counter
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from components import edits, photos
from components.record_check import digest_of, readable
from ingest import label_edits
from ingest.label_edits import Edits
from trainer import embeddings
from trainer.features import IMAGE


class Photos(NamedTuple):
    """The n photos of all splits.

    Attributes:
      names: the names of the records, see `components.photos.Photos`.
      labels: int64 [n], the class indices.
      splits: int64 [n], the indices in `split_names`.
      numbers: int64 [n], the position of each record in its split.
      features: float16 [n, d], the embeddings.
      split_names: the names of the splits.
    """

    names: list[str]
    labels: np.ndarray
    splits: np.ndarray
    numbers: np.ndarray
    features: np.ndarray
    split_names: list[str]

    def split(self, photo: int) -> str:
        """Returns the name of a photo's split."""
        return self.split_names[self.splits[photo]]

    @property
    def repeated(self) -> set[str]:
        """The names that several photos have."""
        return {name for name, count in Counter(self.names).items() if count > 1}


class Record(NamedTuple):
    """A record: the encoded photo, or b"", and the digest that `ingest photos` wrote, or ''."""

    image: bytes
    digest: str


def read(examples: str, table: str, features: str) -> Photos:
    """Returns the photos of all splits.

    Args:
      examples: the folder of the examples.
      table: the folder of the PhotoTable.
      features: the folder of the embeddings.

    Raises:
      ValueError: when the embeddings are those of other records.
    """
    names = photos.splits(examples)
    measured = [photos.read(table, split) for split in names]
    embedded = [embeddings.read(features, split) for split in names]
    for split, table_of_split, of_split in zip(names, measured, embedded, strict=True):
        if not np.array_equal(table_of_split.digests, of_split.digests):
            raise ValueError(f"expected the embeddings of the records in {examples}, split {split}; received others")
    return Photos(
        [readable(name) for each in measured for name in each.names],
        np.concatenate([each.labels for each in measured]),
        np.repeat(np.arange(len(names)), [each.records for each in measured]),
        np.concatenate([each.record_numbers for each in measured]),
        np.concatenate([each.features for each in embedded if len(each.features)] or [np.zeros([0, 1], np.float16)]),
        names,
    )


def read_edits(table: str) -> Edits | None:
    """Returns the edits that ExampleGen applied; None without `data.edits`."""
    path = f"{table}/{edits.FILE}"
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        return label_edits.parse(file.read(), path)


def read_records(
    examples: str, collected: Photos, chosen: Collection[int], shown: Collection[int]
) -> dict[int, Record]:
    """Returns the records of the chosen photos, with the images of those that are shown."""
    found = {}
    for index, split in enumerate(collected.split_names):
        of_split = {int(collected.numbers[photo]): photo for photo in chosen if collected.splits[photo] == index}
        if not of_split:
            continue
        for number, serialized in photos.chosen_examples(examples, split, list(of_split)).as_numpy_iterator():
            photo, features = of_split[int(number)], tf.train.Example.FromString(serialized).features.feature
            image = features[IMAGE].bytes_list.value[0] if photo in shown else b""
            found[photo] = Record(image, digest_of(features))
    return found
