"""The data's section: what the photos are like, what is odd about them, how far they are from the baseline's."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2

from components import photos
from components.photos import Photos
from components.report import metrics

_PARTS = 20  # of a histogram
_SIZES = 10  # that are listed


def describe(each: Photos, classes: Sequence[str]) -> dict[str, Any]:
    """Returns the numbers of a split."""
    count = Counter(map(int, each.labels))
    labels = [*range(len(classes)), *sorted(set(count) - set(range(len(classes))))]
    shapes = Counter((int(width), int(height)) for height, width in each.sizes)
    histogram = np.histogram(each.brightness, _PARTS, (0, 1))[0] / max(1, len(each.labels))
    return {
        "examples": each.records,
        "unreadable": each.records - len(each.labels),
        "per_class": {classes[i] if 0 <= i < len(classes) else f"class {i}": count[i] for i in labels},
        "sizes": [{"width": w, "height": h, "count": n} for (w, h), n in shapes.most_common(_SIZES)],
        "distinct_sizes": len(shapes),
        "side": _spread(side(each)),
        "brightness": _spread(each.brightness),
        "contrast": _spread(each.contrast),
        **{name: _spread(each.colours[:, index]) for index, name in enumerate(("red", "green", "blue"))},
        "brightness_histogram": [round(float(share), 6) for share in histogram],
    }


def side(each: Photos) -> np.ndarray:
    """Returns the square root of each photo's pixels: its side, if it were square."""
    return np.sqrt(each.sizes.prod(axis=1))


def drift(before: Photos, now: Photos, classes: int) -> dict[str, Any] | None:
    """Returns how far a split is from the baseline's; None where one has no photos."""
    if not len(before.labels) or not len(now.labels):
        return None
    kinds = range(max(classes, *(int(each.labels.max()) + 1 for each in (before, now))))
    longest = max(side(before).max(), side(now).max())
    return {
        "labels": _distance(before.labels, now.labels, np.arange(len(kinds) + 1)),
        "brightness": _distance(before.brightness, now.brightness, np.linspace(0, 1, _PARTS + 1)),
        "sizes": _distance(side(before), side(now), np.linspace(0, longest, _PARTS + 1)),
    }


def anomalies(folder: str) -> list[dict[str, str]]:
    """Returns what ExampleValidator found, as {split, feature, what}."""
    rows = []
    for split in photos.splits(folder):
        found = anomalies_pb2.Anomalies()
        with tf.io.gfile.GFile(f"{folder}/Split-{split}/SchemaDiff.pb", "rb") as file:
            found.ParseFromString(file.read())
        for feature, info in sorted(found.anomaly_info.items()):
            rows.append({"split": split, "feature": feature, "what": info.description})
        if found.HasField("dataset_anomaly_info"):
            rows.append({"split": split, "feature": "", "what": found.dataset_anomaly_info.description})
    return rows


def _distance(before: np.ndarray, now: np.ndarray, edges: np.ndarray) -> dict[str, float]:
    return metrics.distance(np.histogram(before, edges)[0], np.histogram(now, edges)[0])


def _spread(values: np.ndarray) -> dict[str, float] | None:
    return {"mean": float(values.mean()), "deviation": float(values.std())} if len(values) else None
