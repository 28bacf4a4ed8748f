"""The embeddings: the features of every photo, as the node Embeddings writes them (`components.embeddings`).

Each split has files `Split-NAME/embeddings-SHARD.npz`, one for each shard of the examples, with the arrays of
`Embeddings` and `views`. They need only numpy: `numpy.load(FILE)`.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

ORIGINAL = "original"  # the photo itself; other views are changed copies
VIEWS = "views"  # the array with the name of each row's view
_ORIGIN = "origin.json"


class Embeddings(NamedTuple):
    """The features of the n photos of a split, in the order of the records.

    Attributes:
      digests: uint8 [n, 8], the FarmHash of each record; see `components.photos.digests`.
      labels: int64 [n], the class indices.
      features: float16 [n, d], the output of the frozen trunks.
    """

    digests: np.ndarray
    labels: np.ndarray
    features: np.ndarray


_EMPTY = Embeddings(np.zeros([0, 8], np.uint8), np.zeros([0], np.int64), np.zeros([0, 0], np.float16))


def write(rows: Mapping[str, Sequence[Embeddings]], folder: str, split: str, shard: str) -> None:
    """Writes the features of a shard of the examples.

    Args:
      rows: batches of the photos in the order of the records, by the name of the view; ORIGINAL is first.
      folder: the folder of an EmbeddingTable.
      split: the name of the split.
      shard: the number of the shard and the number of shards, as in the names of the examples' files.
    """
    batches = [batch for of_view in rows.values() for batch in of_view]
    names = [name.encode() for name, of_view in rows.items() for batch in of_view for _ in batch.labels]
    columns = map(np.concatenate, zip(*batches, strict=True)) if batches else _EMPTY
    content = io.BytesIO()
    arrays: dict[str, Any] = {**Embeddings(*columns)._asdict(), VIEWS: np.array(names, np.bytes_)}
    np.savez(content, **arrays)
    tf.io.gfile.makedirs(f"{folder}/Split-{split}")
    with tf.io.gfile.GFile(f"{folder}/Split-{split}/embeddings-{shard}.npz", "wb") as file:
        file.write(content.getvalue())


def read(folder: str, split: str, views: bool = False) -> Embeddings:
    """Returns the features of a split.

    Args:
      folder: the folder of an EmbeddingTable.
      split: the name of the split.
      views: also returns the rows of changed copies; see `trainer.settings.Embeddings`.

    A missing split has no rows.
    """
    parts = []
    for path in sorted(tf.io.gfile.glob(f"{folder}/Split-{split}/embeddings-*.npz")):
        with tf.io.gfile.GFile(path, "rb") as file:
            arrays = np.load(io.BytesIO(file.read()), allow_pickle=False)
            used = slice(None) if views else arrays[VIEWS] == ORIGINAL.encode()
            parts.append(Embeddings(*(arrays[name][used] for name in Embeddings._fields)))
    parts = [part for part in parts if len(part.labels)] or [_EMPTY]
    return Embeddings(*map(np.concatenate, zip(*parts, strict=True)))


def write_origin(folder: str, origin: dict[str, Any]) -> None:
    """Writes how the features were computed: features of two tables are comparable if their origins are equal."""
    with tf.io.gfile.GFile(f"{folder}/{_ORIGIN}", "w") as file:
        file.write(json.dumps(origin, indent=2))


def read_origin(folder: str) -> dict[str, Any] | None:
    """Returns what `write_origin` wrote into a folder; None if there is none."""
    if not tf.io.gfile.exists(f"{folder}/{_ORIGIN}"):
        return None
    with tf.io.gfile.GFile(f"{folder}/{_ORIGIN}") as file:
        return json.loads(file.read())


def unit(features: np.ndarray) -> np.ndarray:
    """Returns features, float [n, d], as float32 rows of length 1; a row of zeros stays zero."""
    features = features.astype(np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
