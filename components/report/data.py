"""Computes the numbers of the section about the data: statistics of each split, and drift against the baseline."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from components.photos import Photos
from components.report import metrics
from components.slices import side

_BINS = 20  # bins of a histogram
_SIZES = 10  # image sizes that report.json lists


def describe(photos: Photos, classes: Sequence[str]) -> dict[str, Any]:
    """Returns the numbers of a split; see `components.report`."""
    counts = Counter(map(int, photos.labels))
    labels = [*range(len(classes)), *sorted(set(counts) - set(range(len(classes))))]
    sizes = Counter((int(width), int(height)) for height, width in photos.sizes)
    histogram = np.histogram(photos.brightness, _BINS, (0, 1))[0] / max(1, len(photos.labels))
    return {
        "examples": photos.records,
        "per_class": {class_name(classes, i): counts[i] for i in labels},
        "sizes": [{"width": w, "height": h, "count": n} for (w, h), n in sizes.most_common(_SIZES)],
        "distinct_sizes": len(sizes),
        "side": _mean_and_deviation(side(photos)),
        "brightness": _mean_and_deviation(photos.brightness),
        "contrast": _mean_and_deviation(photos.contrast),
        **{name: _mean_and_deviation(photos.colours[:, i]) for i, name in enumerate(("red", "green", "blue"))},
        "brightness_histogram": [round(float(fraction), 6) for fraction in histogram],
    }


def class_name(classes: Sequence[str], index: int) -> str:
    """Returns the name of a class; of an index without a name, for example 'class 7'."""
    return classes[index] if 0 <= index < len(classes) else f"class {index}"


def file_name(photos: Photos, index: int) -> str | None:
    """Returns the name of a photo's file, with control characters escaped; None if it is unknown."""
    name = bytes(photos.names[index]).decode(errors="backslashreplace")
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) == "Cc" else c for c in name) or None


def drift(baseline: Photos, current: Photos, classes: int) -> dict[str, Any] | None:
    """Returns the distances between a split and the same split of the baseline; None if one of them has no photos."""
    if not len(baseline.labels) or not len(current.labels):
        return None
    labels = max(classes, *(int(photos.labels.max()) + 1 for photos in (baseline, current)))
    longest = max(side(baseline).max(), side(current).max())
    fractions = np.linspace(0, 1, _BINS + 1)
    return {
        "labels": _distance(baseline.labels, current.labels, np.arange(labels + 1)),
        "brightness": _distance(baseline.brightness, current.brightness, fractions),
        "sizes": _distance(side(baseline), side(current), np.linspace(0, longest, _BINS + 1)),
    }


def _distance(baseline: np.ndarray, current: np.ndarray, edges: np.ndarray) -> dict[str, float]:
    return metrics.distance(np.histogram(baseline, edges)[0], np.histogram(current, edges)[0])


def _mean_and_deviation(values: np.ndarray) -> dict[str, float] | None:
    return {"mean": float(values.mean()), "deviation": float(values.std())} if len(values) else None
