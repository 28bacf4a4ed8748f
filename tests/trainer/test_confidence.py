"""The threshold of `sure`: worked examples, ties, impossible goals, and scikit-learn's curve."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from trainer import confidence
from trainer.confidence import NEVER, Point

CONFIDENCE = np.array([0.5, 0.9, 0.8, 0.7, 0.9])
CORRECT = np.array([True, True, False, True, True])
POINTS = [Point(0.9, 0.4, 1.0), Point(0.8, 0.6, 2 / 3), Point(0.7, 0.8, 0.75), Point(0.5, 1.0, 0.8)]


def test_the_curve_of_a_worked_example_covers_equal_photos_together():
    assert confidence.curve(CONFIDENCE, CORRECT) == [pytest.approx(each) for each in POINTS]


def test_the_smallest_threshold_that_reaches_the_accuracy():
    assert confidence.for_accuracy(POINTS, 0.8).threshold == 0.5
    assert confidence.for_accuracy(POINTS, 0.75).threshold == 0.5
    assert confidence.for_accuracy(POINTS, 0.81).threshold == 0.9
    assert confidence.for_accuracy(POINTS[:3], 0.7).threshold == 0.7  # 0.8 is larger and does not reach it


def test_an_accuracy_that_no_threshold_reaches():
    wrong_first = confidence.curve(np.array([0.9, 0.8]), np.array([False, True]))
    assert confidence.for_accuracy(wrong_first, 0.6) == Point(NEVER, 0.0, None)
    assert NEVER > 1
    tied = confidence.curve(np.ones(4), np.array([True, True, False, True]))  # no threshold leaves the wrong photo out
    assert confidence.for_accuracy(tied, 0.8).threshold == NEVER
    assert confidence.for_accuracy(tied, 0.75) == Point(1.0, 1.0, 0.75)


def test_the_largest_threshold_that_covers_enough():
    assert [confidence.for_coverage(POINTS, wanted).threshold for wanted in (0.1, 0.4, 0.41, 0.8, 1.0)] == [
        0.9,
        0.9,
        0.8,
        0.7,
        0.5,
    ]


def test_the_curve_agrees_with_scikit_learn_at_every_threshold_and_in_every_order():
    random = np.random.default_rng(0)
    largest, correct = random.uniform(0.2, 1, 200).round(2), random.random(200) < 0.8
    points = confidence.curve(largest, correct)
    for point in points:
        covered = largest >= point.threshold
        assert point.coverage == covered.mean()
        assert point.accuracy == pytest.approx(accuracy_score(np.ones(covered.sum()), correct[covered]))
    order = random.permutation(200)
    assert confidence.curve(largest[order], correct[order]) == points
    assert points[-1].coverage == 1


def test_a_photo_whose_probability_is_rounded_stays_sure():
    thresholds = [confidence.between(POINTS, point).threshold for point in POINTS]
    assert thresholds == pytest.approx([0.85, 0.75, 0.6, 0.25])
    for point, threshold in zip(POINTS, thresholds, strict=True):
        for rounded in (CONFIDENCE - 3e-4, CONFIDENCE + 3e-4):
            assert np.mean(rounded >= threshold) == pytest.approx(point.coverage)
    never = Point(NEVER, 0.0, None)
    assert confidence.between(POINTS, never) == never
