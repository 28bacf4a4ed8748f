"""Measures of a classifier with their intervals: the eval splits are small, and a bare number says too much."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial.distance import jensenshannon

from trainer.intervals import Measure, proportion

_BINS = 10


def confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Returns counts [classes, classes]: a row for each true class, a column for each predicted one."""
    return np.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def per_class(counts: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns each class's precision, recall and F1 from the counts that `confusion` gives."""
    right, true, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return [
        {
            "name": name,
            "precision": proportion(right[index], predicted[index]),
            "recall": proportion(right[index], true[index]),
            "f1": f1(right[index], predicted[index] + true[index] - 2 * right[index]),
        }
        for index, name in enumerate(names)
    ]


def f1(hits: int, errors: int) -> Measure:
    """Returns F1 of one class with the 95 % interval that Wilson's gives it.

    Of the photos that are of the class, or were taken for it, F* = hits / (hits + errors) is a proportion, and F1 is
    2 F* / (1 + F*), which grows with it: so the bounds are its bounds (the "indirect" way of arXiv:2309.14621). A
    bootstrap would say "0 to 0" of a class that was never hit.

    Args:
      hits: photos of the class that were taken for it.
      errors: photos of it that were not, and others that were.
    """
    star = proportion(hits, hits + errors)
    if not star["n"]:
        return star
    return star | {key: 2 * star[key] / (1 + star[key]) for key in ("value", "low", "high")}


def calibration(confidence: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """Returns the reliability diagram's ten bins of equal width and the expected calibration error (Guo et al. 2017).

    Args:
      confidence: float [n], the probability of the predicted class; a bin holds its upper edge.
      right: bool [n], whether that was the class.
    """
    places = np.clip(np.ceil(confidence * _BINS).astype(int) - 1, 0, _BINS - 1)
    bins = []
    for index in np.unique(places):
        inside = places == index
        bins.append(
            {
                "low": float(index / _BINS),
                "high": float((index + 1) / _BINS),
                "n": int(inside.sum()),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(right[inside].mean()),
            }
        )
    error = sum(each["n"] * abs(each["accuracy"] - each["confidence"]) for each in bins) / len(confidence)
    return {"error": float(error), "bins": bins}


def distance(before: np.ndarray, now: np.ndarray) -> dict[str, float]:
    """Returns how far apart two distributions are, given as counts of the same kinds.

    `l_infinity` is the greatest difference of a share; `jensen_shannon` the distance of base 2. Both lie in 0 to 1.
    """
    before, now = before / before.sum(), now / now.sum()
    between = float(np.nan_to_num(jensenshannon(before, now, base=2)))  # rounding makes the root of -0 of equal ones
    return {"l_infinity": float(np.abs(before - now).max()), "jensen_shannon": between}


def thirds(values: np.ndarray) -> list[np.ndarray]:
    """Returns three masks, of the lowest third of the values, the middle and the highest; equal values stay together.

    Fewer than three where the values do not part so.
    """
    edges = np.quantile(values, [1 / 3, 2 / 3])
    places = np.searchsorted(edges, values, side="left")
    return [places == index for index in np.unique(places)]
