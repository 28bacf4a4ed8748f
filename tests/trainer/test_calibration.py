"""The temperature and the calibration error: worked examples, invariants, and scikit-learn's results."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from trainer import calibration
from trainer.settings import Serving


def _drawn(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns logits, and classes that are drawn from their softmax, so that the logits are calibrated."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, classes)).astype(np.float32)
    return logits, np.array([random.choice(classes, p=row) for row in softmax(logits.astype(float), axis=1)])


def test_the_temperature_of_a_worked_example():
    """Every photo has the logits (2, 0) and three of four are of class 0: the best probability is 3/4 = σ(2/T).

    Twice the gain of the log-likelihood is 0.129 for each photo. So 32 photos exceed 3.84, and 28 do not.
    """
    logits, labels = np.array([[2.0, 0.0]] * 400), np.array([0, 0, 1, 0] * 100)
    for photos in (32, 400):
        temperature = calibration.fit_temperature(logits[:photos], labels[:photos])
        assert temperature == pytest.approx(2 / math.log(3), rel=1e-5)
    assert calibration.fit_temperature(logits[:28], labels[:28]) == 1


def test_a_temperature_that_a_few_photos_suggest_by_chance_is_not_used():
    """20 of 21 photos are right, with a probability of 0.9: that of the best temperature is 20/21."""
    logits, labels = np.array([[math.log(9), 0.0]] * 21), np.array([0] * 20 + [1])
    assert calibration.fit_temperature(logits, labels) == 1
    many = calibration.fit_temperature(np.tile(logits, (10, 1)), np.tile(labels, 10))
    assert many == pytest.approx(math.log(9) / math.log(20), rel=1e-5)


def test_the_temperature_of_two_classes_is_scikit_learns_logistic_regression():
    logits, labels = _drawn(300, 2)
    logits = 3 * logits
    margin = (logits[:, 1] - logits[:, 0])[:, np.newaxis]
    regression = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-8).fit(margin, labels)
    assert calibration.fit_temperature(logits, labels) == pytest.approx(1 / regression.coef_[0, 0], rel=1e-4)


def test_the_temperature_has_the_smallest_log_loss():
    logits, labels = _drawn(300, 5)
    logits = 3 * logits
    temperature = calibration.fit_temperature(logits, labels)
    best, *others = (
        log_loss(labels, softmax(logits / (temperature * factor), axis=1), labels=range(5))
        for factor in (1, 0.98, 1.02, 0.5, 2)
    )
    assert best < min(others)


def test_calibrated_logits_keep_their_temperature_and_scaled_logits_scale_it():
    logits, labels = _drawn(20_000, 4)
    assert calibration.fit_temperature(logits, labels) == pytest.approx(1, abs=0.05)
    low, high = (calibration.fit_temperature(factor * logits, labels) / factor for factor in (0.2, 3.0))
    assert low == pytest.approx(high, rel=1e-4) and low == pytest.approx(1, abs=0.05)


def test_the_order_of_photos_changes_nothing():
    logits, labels = _drawn(200, 3)
    order = np.random.default_rng(1).permutation(200)
    serving = Serving(sure_accuracy=0.9, set_coverage=0.8)
    moved, fitted = (calibration.fit(logits[each], labels[each], serving) for each in (order, slice(None)))
    assert moved == pytest.approx(fitted, rel=1e-5)
    assert None not in fitted


def test_the_temperature_changes_no_class_and_lowers_the_error_of_confident_logits():
    logits, labels = _drawn(2_000, 5)
    fitted = calibration.fit(4 * logits, labels, Serving())
    probabilities = softmax(4 * logits / fitted.temperature, axis=1)
    assert np.array_equal(probabilities.argmax(axis=1), logits.argmax(axis=1))
    assert fitted.error_after < 0.03 < 0.1 < fitted.error_before
    assert fitted.photos == 2_000
    assert (fitted.threshold, fitted.quantile) == (None, None)  # without settings


def test_a_likelihood_without_a_maximum_leaves_the_logits_as_they_are():
    assert calibration.fit_temperature(np.array([[2.0, 0.0], [0.0, 0.1]]), np.array([0, 1])) == 1


def test_logits_that_are_worse_than_a_guess_give_the_largest_temperature():
    assert calibration.fit_temperature(np.array([[2.0, 0.0]] * 4), np.array([1, 1, 1, 0])) == pytest.approx(20, 1e-3)


def test_the_threshold_and_the_quantile_reach_their_goals_on_eval():
    logits, labels = _drawn(500, 4)
    by_accuracy, by_coverage = (
        calibration.fit(logits, labels, Serving(set_coverage=0.9, **goal))
        for goal in ({"sure_accuracy": 0.95}, {"sure_coverage": 0.3})
    )
    probabilities = softmax(logits / np.float32(by_accuracy.temperature), axis=1)
    for fitted in (by_accuracy, by_coverage):
        sure = probabilities.max(axis=1) >= fitted.threshold
        assert fitted.sure_coverage == sure.mean()
        assert fitted.sure_accuracy == (probabilities.argmax(axis=1) == labels)[sure].mean()
    assert by_accuracy.sure_accuracy >= 0.95
    assert by_coverage.sure_coverage == 0.3
    assert by_accuracy.quantile == by_coverage.quantile > 0


def test_the_probabilities_before_the_temperature_can_be_computed_from_those_after():
    logits, _ = _drawn(50, 5)
    after = softmax(logits / 1.7, axis=1)
    assert np.allclose(calibration.without_temperature(after, 1.7), softmax(logits, axis=1), atol=1e-6)
    assert calibration.without_temperature(np.array([[1.0, 0.0]]), 2.0).tolist() == [[1, 0]]


def test_the_calibration_error_of_a_worked_example():
    confidence = np.array([0.95, 0.85, 0.9, 0.35, 0.4, 1.0])
    correct = np.array([True, True, False, False, True, True])
    result = calibration.reliability(confidence, correct)
    assert [(round(15 * each["low"]), each["n"], each["accuracy"]) for each in result["bins"]] == [
        (5, 2, 0.5),  # 0.35 and 0.4: a bin includes its upper edge, 6/15
        (12, 1, 1.0),
        (13, 1, 0.0),
        (14, 2, 1.0),
    ]
    assert [each["confidence"] for each in result["bins"]] == pytest.approx([0.375, 0.85, 0.9, 0.975])
    assert result["error"] == pytest.approx((2 * 0.125 + 0.15 + 0.9 + 2 * 0.025) / 6)


def test_the_bins_are_scikit_learns():
    logits, labels = _drawn(500, 3)
    probabilities = softmax(logits, axis=1)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = calibration.reliability(confidence, correct)["bins"]
    accuracy, mean = calibration_curve(correct, confidence, n_bins=calibration.BINS)
    assert [each["accuracy"] for each in bins] == pytest.approx(accuracy)
    assert [each["confidence"] for each in bins] == pytest.approx(mean)


def test_all_photos_are_predicted_in_their_order():
    model = keras.Sequential([keras.Input([2]), keras.layers.Rescaling(3.0)])
    pixels = np.arange(10, dtype=np.float32).reshape(5, 2)
    batches = tf.data.Dataset.from_tensor_slices((pixels, tf.one_hot([0, 1, 1, 0, 1], 2))).batch(2)
    logits, labels = calibration.predict(model, batches)
    assert logits.tolist() == (3 * pixels).tolist()
    assert labels.tolist() == [0, 1, 1, 0, 1]
