"""Metrics of a classifier with 95 % intervals, which matter because eval splits are small."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from trainer.intervals import Measure, proportion


def confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Returns counts [classes, classes]: a row for each true class, a column for each predicted class."""
    return np.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def per_class(counts: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns {name, precision, recall, f1} of each class from the counts of `confusion`."""
    correct, true, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return [
        {
            "name": name,
            "precision": proportion(correct[index], predicted[index]),
            "recall": proportion(correct[index], true[index]),
            "f1": f1(correct[index], predicted[index] + true[index] - 2 * correct[index]),
        }
        for index, name in enumerate(names)
    ]


def f1(hits: int, errors: int) -> Measure:
    """Returns the F1 score of one class with a 95 % interval (the "indirect" method of arXiv:2309.14621).

    F* = hits / (hits + errors) is a proportion, which has Wilson's interval. F1 = 2 F* / (1 + F*) increases with F*, so
    the bounds of F* give the bounds of F1. A bootstrap would give 0 to 0 for a class without hits.

    Args:
      hits: the number of photos of the class that were predicted as the class.
      errors: the number of photos for which either the true or the predicted class is this class.
    """
    star = proportion(hits, hits + errors)
    if not star["n"]:
        return star
    return star | {key: 2 * star[key] / (1 + star[key]) for key in ("value", "low", "high")}


def distance(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Returns the distances, 0 to 1, between two distributions, given as counts of the same categories.

    `l_infinity` is the largest difference between the two fractions of a category. `jensen_shannon` is the
    Jensen-Shannon distance with base 2.
    """
    first, second = first / first.sum(), second / second.sum()
    # for equal distributions, rounding can give the square root of a negative number, which is NaN
    jensen_shannon = float(np.nan_to_num(jensenshannon(first, second, base=2)))
    return {"l_infinity": float(np.abs(first - second).max()), "jensen_shannon": jensen_shannon}
