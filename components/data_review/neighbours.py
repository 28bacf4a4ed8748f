"""Compares the embeddings of all photos: the nearest photos of each, and pairs that are nearly the same photo.

The embeddings are compared in blocks, so the memory depends on the number of photos only by a few bytes for each. The
time grows with the square of the number of photos; `benchmarks/data_review.py` measures it.
"""

from typing import NamedTuple

import numpy as np

from trainer.embeddings import unit

NEAREST = 10
THRESHOLD = 0.95  # of the cosine; docs/decisions/data-review.md has the measurements
_ROWS, _COLUMNS = 1024, 4096  # of a block
_MOST_PAIRS = 10_000  # that are kept; all are counted


class Pairs(NamedTuple):
    """Pairs of photos that are nearly the same: those across splits or with different labels first, by similarity.

    Attributes:
      indices: int64 [m, 2], the lower index first; at most _MOST_PAIRS.
      similarities: float32 [m], the cosines.
      total: the number of all pairs.
      across: of the pairs whose photos are in different splits.
      conflicting: of the pairs whose photos have different labels.
    """

    indices: np.ndarray
    similarities: np.ndarray
    total: int
    across: int
    conflicting: int


class Compared(NamedTuple):
    """The nearest other photos of each photo, int64 [n, k], the most similar first, and the pairs."""

    nearest: np.ndarray
    pairs: Pairs


def compare(features: np.ndarray, labels: np.ndarray, splits: np.ndarray) -> Compared:
    """Compares each photo with all others by the cosine of their features.

    Args:
      features: float [n, d].
      labels: int64 [n], the class indices.
      splits: int64 [n], the indices of the splits.

    Returns:
      The nearest photos, k = min(NEAREST, n - 1), and the pairs with a cosine of at least THRESHOLD.
    """
    nearest = np.zeros([len(features), min(NEAREST, max(0, len(features) - 1))], np.int64)
    pairs = Pairs(np.zeros([0, 2], np.int64), np.zeros([0], np.float32), 0, 0, 0)
    for start in range(0, len(features), _ROWS):
        block = nearest[start : start + _ROWS]
        similar = np.full(block.shape, -np.inf, np.float32)
        rows = unit(features[start : start + _ROWS])
        for column in range(0, len(features), _COLUMNS):
            cosines = rows @ unit(features[column : column + _COLUMNS]).T
            pairs = _with_pairs(pairs, cosines, start, column, labels, splits)
            itself = np.arange(max(start, column), min(start + len(rows), column + cosines.shape[1]))
            cosines[itself - start, itself - column] = -np.inf
            block[:], similar = _nearer(block, similar, cosines, column)
    return Compared(nearest, pairs)


def _with_pairs(
    pairs: Pairs, cosines: np.ndarray, row: int, column: int, labels: np.ndarray, splits: np.ndarray
) -> Pairs:
    """Returns the pairs and those of a block, whose first row and column are the photos `row` and `column`."""
    left, right = np.nonzero(cosines >= THRESHOLD)
    later = right + column > left + row  # each pair once
    similarities = cosines[left[later], right[later]]
    left, right = left[later] + row, right[later] + column
    indices = np.concatenate([pairs.indices, np.stack([left, right], 1)])
    similarities = np.concatenate([pairs.similarities, similarities])
    order = np.lexsort((indices[:, 1], indices[:, 0], -similarities, ~_important(indices, labels, splits)))[
        :_MOST_PAIRS
    ]
    return Pairs(
        indices[order],
        similarities[order],
        pairs.total + len(left),
        pairs.across + int(np.sum(splits[left] != splits[right])),
        pairs.conflicting + int(np.sum(labels[left] != labels[right])),
    )


def _important(indices: np.ndarray, labels: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Returns which pairs, int64 [m, 2], are in different splits or have different labels: bool [m]."""
    left, right = indices.T
    return (splits[left] != splits[right]) | (labels[left] != labels[right])


def _nearer(top: np.ndarray, similar: np.ndarray, cosines: np.ndarray, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the nearest photos, sorted, of those before and those of a block; and their cosines."""
    photos = np.concatenate([top, np.broadcast_to(np.arange(column, column + cosines.shape[1]), cosines.shape)], axis=1)
    values = np.concatenate([similar, cosines], axis=1)
    if top.shape[1] < values.shape[1]:
        chosen = np.argpartition(-values, top.shape[1], axis=1)[:, : top.shape[1]]
        photos, values = np.take_along_axis(photos, chosen, 1), np.take_along_axis(values, chosen, 1)
    order = np.lexsort((photos, -values))
    return np.take_along_axis(photos, order, 1), np.take_along_axis(values, order, 1)
