"""The nearest photos and near duplicates equal those of a comparison of all pairs at once, in flat memory."""

import tracemalloc

import numpy as np
import pytest

from components.data_review import neighbours


def _compare(features, labels=None, splits=None):
    zeros = np.zeros(len(features), np.int64)
    return neighbours.compare(features, zeros if labels is None else labels, zeros if splits is None else splits)


def _photos(count: int = 50, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, width)).astype(np.float16)


def test_pairs_and_nearest_photos_of_four_vectors():
    """The angles are 0°, 10°, 90° and 100°: cos 10° = 0.985, cos 80° = 0.174, cos 90° = 0."""
    angles = np.deg2rad([0, 10, 90, 100])
    features = np.stack([np.cos(angles), np.sin(angles)], 1) * [[1], [5], [0.1], [1]]  # the length has no effect
    compared = _compare(features, labels=np.array([0, 0, 1, 0]), splits=np.array([0, 1, 0, 0]))
    assert compared.nearest.tolist() == [[1, 2, 3], [0, 2, 3], [3, 1, 0], [2, 1, 0]]
    pairs = compared.pairs
    assert pairs.indices.tolist() == [[0, 1], [2, 3]]
    assert pairs.similarities == pytest.approx([np.cos(np.deg2rad(10))] * 2, abs=1e-6)
    assert (pairs.total, pairs.across, pairs.conflicting) == (2, 1, 1)


@pytest.mark.parametrize(("rows", "columns"), [(1024, 4096), (7, 11), (16, 5), (1, 1), (50, 50)])
def test_the_size_of_the_blocks_changes_nothing(monkeypatch, rows, columns):
    features = _photos()
    features[[3, 40]] = features[[20, 7]]
    monkeypatch.setattr(neighbours, "_ROWS", rows)
    monkeypatch.setattr(neighbours, "_COLUMNS", columns)
    compared = _compare(features)
    unit = features.astype(np.float64) / np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    expected = np.sort(cosines, axis=1)[:, :-11:-1]
    assert np.take_along_axis(cosines, compared.nearest, 1) == pytest.approx(expected, abs=1e-5)
    assert sorted(compared.pairs.indices.tolist()) == [[3, 20], [7, 40]]


def test_the_order_of_the_photos_changes_nothing():
    features = _photos(30)
    order = np.random.default_rng(1).permutation(30)
    compared, shuffled = _compare(features), _compare(features[order])
    assert order[shuffled.nearest].tolist() == compared.nearest[order].tolist()


def test_equal_photos_are_all_counted_and_some_are_kept(monkeypatch):
    monkeypatch.setattr(neighbours, "_MOST_PAIRS", 20)
    labels, splits = np.arange(40) % 4, np.arange(40) % 2
    pairs = _compare(np.ones([40, 8], np.float16), labels, splits).pairs
    assert pairs.total == 40 * 39 // 2 and len(pairs.indices) == 20
    assert pairs.across == 20 * 20 and pairs.conflicting == 6 * 10 * 10
    assert pairs.indices[:2].tolist() == [[0, 1], [0, 2]]


def test_a_pair_across_splits_is_kept_among_many_equal_photos(monkeypatch):
    monkeypatch.setattr(neighbours, "_MOST_PAIRS", 20)
    angles = np.deg2rad([0] * 30 + [90, 95])
    features = np.stack([np.cos(angles), np.sin(angles)], 1)
    pairs = _compare(features, splits=np.array([0] * 31 + [1])).pairs
    assert pairs.across == 1 and pairs.indices[0].tolist() == [30, 31]


@pytest.mark.parametrize("count", [0, 1, 2, 11])
def test_few_photos(count):
    compared = _compare(_photos(count))
    assert compared.nearest.shape == (count, max(0, min(10, count - 1)))
    assert all(index not in row for index, row in enumerate(compared.nearest))
    assert compared.pairs.total == 0


def test_embeddings_of_zeros_are_no_duplicates():
    assert _compare(np.zeros([5, 3], np.float16)).pairs.total == 0


def test_the_memory_does_not_grow_with_the_square_of_the_photos():
    """All cosines of 12,000 photos would have 576 MB."""
    features = _photos(12_000, 8)
    tracemalloc.start()
    _compare(features, np.zeros(12_000, np.int64), np.zeros(12_000, np.int64))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 350 * 2**20
