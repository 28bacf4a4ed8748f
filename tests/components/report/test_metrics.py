"""The report's metrics, compared with worked examples and with scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from components.report import metrics
from trainer import intervals


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),  # as published in many tables, as (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n)
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 1, 0.2065, 1.0),
    ],
)
def test_the_interval_of_a_proportion_is_wilsons(hits, n, low, high):
    measure = intervals.proportion(hits, n)
    assert measure["value"] == hits / n
    assert (measure["low"], measure["high"]) == pytest.approx((low, high), abs=5e-5)


def test_a_published_comparison_of_matched_pairs():
    """Approval in two surveys of the same people (Agresti, Categorical Data Analysis, 2002, table 10.1)."""
    pairs = intervals.Pairs(794, 150, 86, 570)
    assert intervals.difference(pairs) == pytest.approx((0.021, 0.059), abs=5e-4)
    assert intervals.mcnemar(pairs) < 1e-4
    assert intervals.difference(pairs._replace(only_first=86, only_second=150)) == pytest.approx(
        tuple(-bound for bound in reversed(intervals.difference(pairs)))
    )


def test_the_interval_of_a_difference_contains_it_in_95_of_100_samples():
    random = np.random.default_rng(0)
    for shares in ((0.85, 0.05, 0.04, 0.06), (0.6, 0.1, 0.2, 0.1)):
        samples = [intervals.Pairs(*each) for each in random.multinomial(100, shares, 2_000)]
        found = [low <= shares[1] - shares[2] <= high for low, high in map(intervals.difference, samples)]
        assert 0.93 < np.mean(found) < 0.98


def test_the_number_of_examples_that_decides():
    pairs = intervals.Pairs(600, 40, 50, 110)  # a difference of -0.0125, against a floor of -0.02
    needed = intervals.examples_to_decide(pairs, -0.02)
    assert intervals.difference(pairs)[0] < -0.02
    larger = intervals.Pairs(*(round(each * needed / sum(pairs)) for each in pairs))
    assert intervals.difference(larger)[0] >= -0.0201
    assert intervals.examples_to_decide(intervals.Pairs(54, 0, 9, 3), -0.05) > 66  # never the photos that there are
    assert intervals.examples_to_decide(intervals.Pairs(0, 0, 1, 0), -0.02) > 1


def test_a_proportion_of_nothing_has_no_value():
    assert intervals.proportion(0, 0) == {"value": None, "low": None, "high": None, "n": 0}
    assert metrics.f1(0, 0)["value"] is None


def test_the_confusion_and_f1_are_scikit_learns():
    random = np.random.default_rng(1)
    true, predicted = random.integers(0, 4, 200), random.integers(0, 4, 200)
    counts = metrics.confusion(true, predicted, 5)  # no photo has the fifth class
    assert counts.tolist() == confusion_matrix(true, predicted, labels=range(5)).tolist()
    classes = metrics.per_class(counts, "abcde")
    expected = f1_score(true, predicted, labels=range(4), average=None)
    assert [each["f1"]["value"] for each in classes[:4]] == pytest.approx(expected)
    assert classes[4]["f1"]["value"] is classes[4]["recall"]["value"] is classes[4]["precision"]["value"] is None


def test_the_interval_of_f1_is_close_to_the_bootstrap():
    hits, false_alarms, misses, n = 400, 80, 120, 2000
    counts = [hits, false_alarms, misses, n - hits - false_alarms - misses]
    true, predicted = np.repeat([1, 0, 1, 0], counts), np.repeat([1, 1, 0, 0], counts)
    drawn = np.random.default_rng(7).integers(0, n, (2000, n))
    both = (true[drawn] & predicted[drawn]).sum(axis=1)
    bootstrap = np.percentile(2 * both / (true[drawn].sum(axis=1) + predicted[drawn].sum(axis=1)), [2.5, 97.5])
    measure = metrics.f1(hits, false_alarms + misses)
    assert measure["value"] == pytest.approx(0.8)
    assert (measure["low"], measure["high"]) == pytest.approx(bootstrap, abs=0.005)
    never = metrics.f1(0, 10)
    assert (never["value"], never["low"]) == (0, 0)
    assert never["high"] > 0.3  # ten photos give little certainty


@pytest.mark.parametrize(
    ("first", "second", "l_infinity", "jensen_shannon"),
    [
        ([1, 1], [5, 5], 0.0, 0.0),
        ([4, 0], [0, 2], 1.0, 1.0),
        # the entropy of the mean distribution (3/4, 1/4) minus the mean of the entropies, 1 bit and 0
        ([1, 1], [1, 0], 0.5, math.sqrt(0.8112781245 - 0.5)),
    ],
)
def test_the_distances_of_two_distributions(first, second, l_infinity, jensen_shannon):
    found = metrics.distance(np.array(first), np.array(second))
    assert found == pytest.approx({"l_infinity": l_infinity, "jensen_shannon": jensen_shannon}, abs=1e-7)
