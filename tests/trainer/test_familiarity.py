"""How familiar a photo is to a probe: worked examples and invariants."""

import numpy as np
import pytest
import tensorflow as tf

from trainer import familiarity

TRAINING = np.array([[1, 0], [0, 1], [-1, 0]], np.float16)
EVALUATION = np.array([[3, 0], [4, 3], [3, 4], [0, -2]], np.float16)
LOGITS = np.array([[1.0, -40], [2.0, -40], [3.0, -40], [4.0, -40]], np.float32)  # the energies are -1, -2, -3 and -4


def _clouds(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the features of two classes and the logits of a good layer."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    features = random.normal(size=(count, 6)) + 5 * np.eye(6)[labels]
    return features.astype(np.float16), (features[:, :2] * 2).astype(np.float32)


def test_the_distances_by_hand():
    fitted = familiarity.fit(TRAINING, EVALUATION, LOGITS)
    # the cosines to the nearest reference are 1, 0.8, 0.8 and 0
    assert fitted.energy == pytest.approx((-2.5, np.std([1, 2, 3, 4])))
    assert fitted.distance == pytest.approx((0.35, np.std([0, 0.2, 0.2, 1])), abs=1e-3)
    deviations = np.std([1, 2, 3, 4]), np.std([0, 0.2, 0.2, 1])
    sums = [
        energy / deviations[0] + distance / deviations[1]
        for energy, distance in zip((1.5, 0.5, -0.5, -1.5), (-0.35, -0.15, -0.15, 0.65), strict=True)
    ]
    assert fitted.sums == pytest.approx(sorted(sums), abs=5e-3)
    assert fitted.figures() == {"references": 3, "photos": 4}
    photos = tf.constant([[1.0, 0], [6, 8], [0, 7]])
    logits = tf.constant([[-50.0, -90], [1.8, -40], [9.0, -40]])
    # the sums of the eval photos are -0.84, 0.06, 0.35 and 0.43, those of these photos about 46, 0.23 and -7
    assert familiarity.familiar(fitted, photos, logits).numpy().tolist() == [0, 0.5, 1]


def test_eval_photos_have_all_values_equally_often():
    (training, _), (evaluation, logits) = _clouds(300, 0), _clouds(200, 1)
    fitted = familiarity.fit(training, evaluation, logits)
    values = np.sort(familiarity.familiar(fitted, tf.cast(evaluation, tf.float32), logits).numpy())
    assert np.abs(values - np.arange(1, 201) / 200).max() <= 0.01
    others, logits = _clouds(400, 2)
    assert 0.01 < np.mean(familiarity.familiar(fitted, tf.cast(others, tf.float32), logits).numpy() < 0.05) < 0.1


def test_another_direction_is_unfamiliar():
    (training, _), (evaluation, logits) = _clouds(300, 0), _clouds(200, 1)
    fitted = familiarity.fit(training, evaluation, logits)
    unknown = np.random.default_rng(3).normal(size=(50, 6)).astype(np.float32) + 9 * np.eye(6, dtype=np.float32)[5]
    assert familiarity.familiar(fitted, unknown, unknown[:, :2] * 2).numpy().max() < 0.05


def test_the_order_and_the_length_change_nothing():
    (training, _), (evaluation, logits) = _clouds(300, 0), _clouds(200, 1)
    photos, photo_logits = _clouds(20, 4)
    fits = [
        familiarity.fit(training, evaluation, logits),
        familiarity.fit(training[::-1], evaluation[::-1], logits[::-1]),
    ]
    first, second = (familiarity.familiar(fitted, tf.cast(photos, tf.float32), photo_logits) for fitted in fits)
    longer = familiarity.familiar(fits[0], 3 * tf.cast(photos, tf.float32), photo_logits)
    assert np.abs(first - second).max() <= 0.01
    assert np.abs(first - longer).max() <= 0.01


def test_the_size_is_limited(monkeypatch):
    monkeypatch.setattr(familiarity, "REFERENCES", 100)
    monkeypatch.setattr(familiarity, "DIRECTIONS", 3)
    (training, _), (evaluation, logits) = _clouds(300, 0), _clouds(200, 1)
    fitted = familiarity.fit(training, evaluation, logits, seed=1)
    assert (fitted.directions.shape, fitted.references.shape) == ((6, 3), (100, 3))
    again = familiarity.fit(training, evaluation, logits, seed=1)
    assert np.array_equal(fitted.references, again.references)


def test_one_photo_in_each_split():
    fitted = familiarity.fit(TRAINING[:1], EVALUATION[:1], LOGITS[:1])
    values = familiarity.familiar(fitted, tf.constant([[3.0, 0], [0, 1]]), tf.constant(LOGITS[:2]))
    assert np.isfinite(values).all()
