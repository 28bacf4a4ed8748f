"""The checks that settings add: worked examples, and scikit-learn's results. Evaluator: test_baseline.py."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from components import limits


def test_the_macro_f1_of_a_worked_example():
    """F1 is 2·3/(2·3 + 1) for the first class and 2·1/(2·1 + 1) for the second; no photo concerns the third."""
    assert limits.macro_f1(np.array([[3, 0, 0], [1, 1, 0], [0, 0, 0]])) == pytest.approx((6 / 7 + 2 / 3) / 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_macro_f1_is_scikit_learns(seed):
    random = np.random.default_rng(seed)
    true, predicted = random.integers(0, 4, 50), random.integers(1, 6, 50)
    counts = confusion_matrix(true, predicted, labels=range(7))  # the last class is neither true nor predicted
    assert limits.macro_f1(counts) == pytest.approx(f1_score(true, predicted, average="macro", zero_division=0))


def test_the_counts_in_tfmas_plots():
    entries = [
        {"numWeightedExamples": 7.0},  # TFMA omits the class 0
        {"actualClassId": 2, "numWeightedExamples": 2.0},
        {"actualClassId": 1, "predictedClassId": 3, "numWeightedExamples": 1.0},
    ]
    plots = {"": {"": {"multiClassConfusionMatrixAtThresholds": {"matrices": [{"entries": entries}]}}}}
    assert limits.confusion_of(plots).tolist() == [[7, 0, 0, 0], [0, 0, 0, 1], [2, 0, 0, 0], [0, 0, 0, 0]]
