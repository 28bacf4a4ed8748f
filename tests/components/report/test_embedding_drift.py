"""The drift of embeddings: AUROC of a linear classifier that tells two data sets apart."""

import numpy as np
import pytest

from components.report import embedding_drift
from trainer import embeddings
from trainer.embeddings import Embeddings


def _photos(features: np.ndarray, seed: int = 0) -> Embeddings:
    """Returns photos with random digests, half of them even."""
    digests = np.random.default_rng(seed).integers(0, 256, (len(features), 8), np.uint8)
    digests[:, 0] = digests[:, 0] // 2 * 2 + np.arange(len(features)) % 2  # the lowest byte
    return Embeddings(digests, np.zeros([len(features)], np.int64), features.astype(np.float16))


def _normal(count: int, seed: int, mean: float = 0.0) -> Embeddings:
    features = np.random.default_rng(seed).normal(size=(count, 4))
    return _photos(features + [3 + mean, 0, 0, 0], seed)


def test_separate_data_sets_by_hand():
    first = _photos(np.tile([1.0, 0.0], (100, 1)), 1)
    drift = embedding_drift.drift(first, _photos(np.tile([0.0, 1.0], (100, 1)), 2))
    # of each set, 50 photos are judged: 0.5 + 1.959964 * sqrt((50 + 50 + 1) / (12 * 50 * 50))
    assert drift == {"auroc": 1.0, "limit": pytest.approx(0.6137, abs=1e-4), "photos": 100}


def test_the_same_photos_have_no_drift():
    photos = _normal(60, 0)
    assert embedding_drift.drift(photos, photos)["auroc"] == pytest.approx(0.5)
    half = Embeddings(*(column[:40] for column in photos))  # the data has grown
    assert abs(embedding_drift.drift(half, photos)["auroc"] - 0.5) < 0.1


def test_the_order_and_the_length_of_the_features_change_nothing():
    first, second = _normal(80, 0), _normal(90, 1, mean=1)
    order = np.random.default_rng(2).permutation(80)
    shuffled = Embeddings(*(column[order] for column in first))
    assert embedding_drift.drift(shuffled, second) == embedding_drift.drift(first, second)
    doubled = second._replace(features=2 * second.features)
    assert embedding_drift.drift(first, doubled)["auroc"] == embedding_drift.drift(first, second)["auroc"]


def test_without_drift_few_values_are_above_the_limit():
    drifts = [embedding_drift.drift(_normal(40, seed), _normal(60, 1000 + seed)) for seed in range(300)]
    assert 0.005 <= np.mean([each["auroc"] > each["limit"] for each in drifts]) <= 0.05  # 0.025 is expected
    assert np.mean([each["auroc"] for each in drifts]) == pytest.approx(0.5, abs=0.02)
    assert embedding_drift.drift(_normal(40, 0), _normal(60, 1, mean=3))["auroc"] > 0.65


def test_the_number_of_photos_is_limited():
    assert embedding_drift.drift(_normal(19, 0), _normal(60, 1)) is None
    assert embedding_drift.drift(_normal(3000, 0), _normal(2500, 1))["photos"] == pytest.approx(2000, abs=200)


@pytest.mark.parametrize(
    ("origins", "comparable"),
    [
        (({"trunks": [1]}, {"trunks": [1]}), True),
        (({"trunks": [1]}, {"trunks": [2]}), False),
        ((None, {"trunks": [2]}), False),
        ((None, None), False),  # tables of older versions
    ],
)
def test_only_features_of_the_same_trunks_and_pixels_are_compared(tmp_path, origins, comparable):
    tables = [str(tmp_path / name) for name in ("baseline", "current")]
    for table, origin in zip(tables, origins, strict=True):
        embeddings.write({"original": [_normal(40, 0)]}, table, "train", "00000-of-00001")
        if origin:
            embeddings.write_origin(table, origin)
    assert (embedding_drift.between(*tables, "train") is not None) == comparable
    assert embedding_drift.between(*tables, "test") is None  # a split without photos
    assert embedding_drift.between(None, tables[1], "train") is None
    assert embedding_drift.between(tables[0], None, "train") is None
