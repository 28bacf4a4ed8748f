"""The evaluation's section: the candidate's predictions on the eval split, and the numbers computed from them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.photos import DIGEST, Photos
from components.report import data, metrics
from trainer import tfrecords
from trainer.features import PREDICTIONS, PROBABILITIES

_MISTAKES = 12


def read(evaluation: str) -> dict[bytes, np.ndarray] | None:
    """Returns the class probabilities, float32 [classes], by the record's digest, as `components.predictions` wrote.

    None if the evaluation has no predictions: an older version of this project wrote it.
    """
    spec = {
        DIGEST: tf.io.FixedLenFeature([], tf.string),
        PROBABILITIES: tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
    }
    files = sorted(tf.io.gfile.glob(f"{evaluation}/{PREDICTIONS}-*"))
    parsed = tfrecords.read(files).map(lambda record: tf.io.parse_single_example(record, spec)) if files else []
    return {each[DIGEST].numpy(): each[PROBABILITIES].numpy() for each in parsed} or None


def evaluate(predicted_by_digest: dict[bytes, np.ndarray], seen: Photos, names: Sequence[str]) -> dict[str, Any]:
    """Returns the section's numbers.

    Args:
      predicted_by_digest: see `read`.
      seen: the photos of the eval split, all of which can be decoded.
      names: of the classes.
    """
    probabilities = np.stack([predicted_by_digest[digest.tobytes()] for digest in seen.digests])
    true, predicted, confidence = seen.labels, probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = true == predicted
    counts = metrics.confusion(true, predicted, len(names))
    slices = {"size": _by(data.side(seen), right, _size), "brightness": _by(seen.brightness, right, _shade)}
    return {
        "examples": len(true),
        "accuracy": metrics.proportion(right.sum(), len(right)),
        "confusion": counts.tolist(),
        "classes": metrics.per_class(counts, names),
        "calibration": metrics.calibration(confidence, right),
        "mistakes": list(_mistakes(true, probabilities, seen.places, names)),
        "slices": slices,
    }


def _mistakes(
    true: np.ndarray, probabilities: np.ndarray, places: np.ndarray, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(true != predicted)
    for index in wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES]:
        yield {
            "record": int(places[index]),
            "true": names[true[index]],
            "predicted": names[predicted[index]],
            "probability": float(confidence[index]),
            "probability_of_true": float(probabilities[index, true[index]]),
        }


def _by(values: np.ndarray, right: np.ndarray, form: Any) -> list[dict[str, Any]]:
    """Returns the accuracy over each third of the values, named by its bounds."""
    return [
        {
            "name": form(values[mask].min(), values[mask].max()),
            "accuracy": metrics.proportion(right[mask].sum(), mask.sum()),
        }
        for mask in metrics.thirds(values)
    ]


def _size(low: float, high: float) -> str:
    return f"side {low:.0f} px" if round(low) == round(high) else f"side {low:.0f} to {high:.0f} px"


def _shade(low: float, high: float) -> str:
    return f"brightness {low:.2f} to {high:.2f}"
