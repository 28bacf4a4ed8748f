"""Computes the numbers about probabilities: calibration, coverage, prediction sets and unfamiliar photos."""

from typing import Any

import numpy as np

from components.report import metrics
from trainer import calibration, confidence, familiarity, prediction_sets

_POINTS = 100  # of the curve, at most


def describe(probabilities: np.ndarray, labels: np.ndarray, fitted: dict[str, Any] | None) -> dict[str, Any]:
    """Returns `calibration`, `sure` and `sets`; see `components.report`.

    Args:
      probabilities: float32 [n, classes], of the exported model.
      labels: int64 [n].
      fitted: what the Trainer fitted on eval, a `trainer.calibration.Fitted`; None if it is unknown.
    """
    largest, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    fitted = fitted or {}
    points = confidence.curve(largest, correct)
    shown = np.unique(np.linspace(0, len(points) - 1, _POINTS).round().astype(int))
    sure = largest >= fitted["threshold"] if fitted.get("threshold") is not None else None
    return {
        "calibration": _calibration(probabilities, correct, fitted),
        "sure": {
            "curve": [points[index]._asdict() for index in shown],
            "coverage": None if sure is None else metrics.proportion(sure.sum(), len(sure)),
            "accuracy": None if sure is None else metrics.proportion(correct[sure].sum(), sure.sum()),
        },
        "sets": _sets(probabilities, labels, fitted["quantile"]) if fitted.get("quantile") is not None else None,
    }


def of_familiar(familiar: np.ndarray, correct: np.ndarray) -> dict[str, Any]:
    """Returns how many photos are unfamiliar, and the accuracy on them and on the others; see `components.report`."""
    below = familiar < familiarity.LIMIT
    accuracy = {
        name: metrics.proportion(correct[mask].sum(), mask.sum())
        for name, mask in (("unfamiliar", below), ("others", ~below))
    }
    return {"limit": familiarity.LIMIT, "unfamiliar": metrics.proportion(below.sum(), len(below)), "accuracy": accuracy}


def _calibration(probabilities: np.ndarray, correct: np.ndarray, fitted: dict[str, Any]) -> dict[str, Any]:
    after = calibration.reliability(probabilities.max(axis=1), correct)
    if not fitted:
        return {**after, "before": None}
    before = calibration.without_temperature(probabilities, fitted["temperature"])
    return {**after, "before": calibration.reliability(before.max(axis=1), correct)}


def _sets(probabilities: np.ndarray, labels: np.ndarray, quantile: float) -> dict[str, Any]:
    sizes, hits = prediction_sets.sizes_and_hits(probabilities, labels, quantile)
    return {
        "coverage": metrics.proportion(hits.sum(), len(hits)),
        "mean_size": float(sizes.mean()),
        "sizes": [{"size": int(size), "photos": int((sizes == size).sum())} for size in np.unique(sizes)],
    }
