"""Chooses the probability from which the exported model is sure of a photo's class (`sure`)."""

from typing import NamedTuple

import numpy as np

NEVER = 2.0  # a threshold that no probability reaches


class Point(NamedTuple):
    """What a threshold gives: photos whose largest probability is at least `threshold` are covered.

    Attributes:
      threshold: 0 to 1, or NEVER.
      coverage: the fraction of photos that are covered.
      accuracy: the accuracy on the covered photos; None if no photo is covered.
    """

    threshold: float
    coverage: float
    accuracy: float | None


def curve(confidence: np.ndarray, correct: np.ndarray) -> list[Point]:
    """Returns a point for each distinct confidence, the highest first: accuracy against coverage.

    Photos with equal confidence are covered together, because no threshold separates them (El-Yaniv and Wiener 2010,
    "On the foundations of noise-free selective classification").

    Args:
      confidence: float [n], the largest probability of each photo.
      correct: bool [n], whether the predicted class is the true class.
    """
    thresholds, counts = np.unique(-confidence, return_counts=True)
    covered = np.cumsum(counts)
    hits = np.cumsum(correct[np.argsort(-confidence, kind="stable")])[covered - 1]
    rows = zip(-thresholds, covered / len(confidence), hits / covered, strict=True)
    return [Point(*map(float, row)) for row in rows]


def for_accuracy(points: list[Point], wanted: float) -> Point:
    """Returns the point with the smallest threshold that reaches an accuracy; NEVER's if no threshold does."""
    reached = [each for each in points if each.accuracy is not None and each.accuracy >= wanted]
    return reached[-1] if reached else Point(NEVER, 0.0, None)


def for_coverage(points: list[Point], wanted: float) -> Point:
    """Returns the point with the largest threshold that covers at least a fraction of the photos, at most 1."""
    return next(each for each in points if each.coverage >= wanted)


def between(points: list[Point], chosen: Point) -> Point:
    """Returns a point of `curve` with the threshold halfway to the next lower confidence, or to 0.

    It covers the same photos. At the confidence itself, a photo would be lost if the exported graph rounds its
    probability down: the features of a probe were float16.
    """
    lower = [each.threshold for each in points if each.threshold < chosen.threshold]
    if chosen.threshold == NEVER:
        return chosen
    return chosen._replace(threshold=(chosen.threshold + max(lower, default=0.0)) / 2)
