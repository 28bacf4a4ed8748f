"""Split-conformal sets: a worked example, the promised coverage, and the sets of a tiny eval split."""

import numpy as np
import pytest
from scipy.special import softmax

from trainer import prediction_sets

PROBABILITIES = np.array([[0.2, 0.7, 0.1], [0.5, 0.3, 0.2]], np.float32)


def test_the_scores_of_a_worked_example():
    """A score is the probability of the more probable classes, and 0.01 for each of them."""
    order, scores = prediction_sets.ranked(PROBABILITIES)
    assert order.numpy().tolist() == [[1, 0, 2], [0, 1, 2]]
    assert scores.numpy().tolist() == [pytest.approx([0, 0.71, 0.92]), pytest.approx([0, 0.51, 0.82])]


def test_the_sets_of_a_worked_example():
    for quantile, sizes in ((0.0, [1, 1]), (0.6, [1, 2]), (0.75, [2, 2]), (0.9, [2, 3]), (1.03, [3, 3])):
        found, _ = prediction_sets.sizes_and_hits(PROBABILITIES, np.array([0, 0]), quantile)
        assert found.tolist() == sizes
    _, hits = prediction_sets.sizes_and_hits(PROBABILITIES, np.array([0, 1]), 0.6)
    assert hits.tolist() == [False, True]


@pytest.mark.parametrize(
    ("coverage", "position"),
    [(0.9, 9), (0.5, 5), (0.55, 6), (0.1, 1), (0.05, 1)],  # of the nine scores: the ⌈10 · coverage⌉-th smallest
)
def test_the_quantile_of_nine_photos(coverage, position):
    largest = np.linspace(0.5, 0.9, 9, dtype=np.float32)  # the true class is the second: its score is largest + 0.01
    probabilities = np.stack([largest, 1 - largest], axis=1)
    quantile = prediction_sets.fit_quantile(probabilities, np.ones(9, int), coverage)
    if coverage == 0.1:
        assert quantile == pytest.approx(0.535)  # halfway between 0.51 and 0.56
    following = largest[position] + 0.01 if position < 9 else 1.02  # the last: no score exceeds 1.02
    assert quantile == pytest.approx((largest[position - 1] + 0.01 + following) / 2)


def test_too_few_photos_give_sets_of_all_classes():
    quantile = prediction_sets.fit_quantile(PROBABILITIES, np.array([0, 0]), 0.9)
    uniform = np.full([1, 3], 1 / 3, np.float32)
    for probabilities in (PROBABILITIES[:1], uniform, np.array([[0, 0, 1]], np.float32)):
        sizes, hits = prediction_sets.sizes_and_hits(probabilities, np.array([0]), quantile)
        assert (sizes.tolist(), hits.tolist()) == ([3], [True])


@pytest.mark.parametrize("coverage", [0.6, 0.9, 0.98])
def test_other_photos_are_covered_as_promised_even_if_the_probabilities_are_wrong(coverage):
    random = np.random.default_rng(0)
    covered, sizes = [], []
    for _ in range(60):
        logits = random.normal(0, 1.5, (400, 6))
        labels = np.array([random.choice(6, p=row) for row in softmax(logits, axis=1)])
        probabilities = softmax(3 * logits, axis=1).astype(np.float32)
        quantile = prediction_sets.fit_quantile(probabilities[:200], labels[:200], coverage)
        size, hits = prediction_sets.sizes_and_hits(probabilities[200:], labels[200:], quantile)
        covered.append(hits.mean())
        sizes.append(size.mean())
    assert coverage - 0.01 < np.mean(covered) < coverage + 0.02
    assert np.mean(sizes) < 6


def test_the_order_of_photos_changes_nothing():
    random = np.random.default_rng(0)
    probabilities = softmax(random.normal(0, 2, (100, 5)), axis=1).astype(np.float32)
    labels, order = random.integers(0, 5, 100), random.permutation(100)
    quantile = prediction_sets.fit_quantile(probabilities, labels, 0.8)
    assert prediction_sets.fit_quantile(probabilities[order], labels[order], 0.8) == quantile
