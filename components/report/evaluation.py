"""Computes the numbers of the section about the evaluation from the candidate's predictions on the judged split."""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.photos import DIGEST, Photos
from components.report import certainty, data, metrics
from trainer import tfrecords
from trainer.features import PREDICTIONS, PROBABILITIES

_MISTAKES = 12  # mistakes that the page shows


def read(evaluation: str) -> dict[bytes, np.ndarray] | None:
    """Returns the probabilities that `components.predictions` wrote, float32 [classes], by the digest of the record.

    Returns None if the folder has no predictions, because an older version of this project wrote it.
    """
    spec = {
        DIGEST: tf.io.FixedLenFeature([], tf.string),
        PROBABILITIES: tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
    }
    files = sorted(tf.io.gfile.glob(f"{evaluation}/{PREDICTIONS}-*"))
    parsed = tfrecords.read(files).map(lambda record: tf.io.parse_single_example(record, spec)) if files else []
    return {each[DIGEST].numpy(): each[PROBABILITIES].numpy() for each in parsed} or None


def evaluate(
    probabilities_by_digest: dict[bytes, np.ndarray],
    photos: Photos,
    names: Sequence[str],
    fitted: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the numbers of the section; see `components.report`.

    Args:
      probabilities_by_digest: see `read`.
      photos: the photos of the judged split. The data gate has checked that all can be decoded.
      names: the class names.
      fitted: what the Trainer fitted on eval, a `trainer.calibration.Fitted`; None if it is unknown.
    """
    probabilities = np.stack([probabilities_by_digest[digest.tobytes()] for digest in photos.digests])
    predicted = probabilities.argmax(axis=1)
    correct = photos.labels == predicted
    counts = metrics.confusion(photos.labels, predicted, len(names))
    return {
        "examples": len(photos.labels),
        "accuracy": metrics.proportion(correct.sum(), len(correct)),
        "confusion": counts.tolist(),
        "classes": metrics.per_class(counts, names),
        **certainty.describe(probabilities, photos.labels, fitted),
        "mistakes": list(_mistakes(photos, probabilities, names)),
        "slices": {
            "size": _slices(data.side(photos), correct, _size_range),
            "brightness": _slices(photos.brightness, correct, "brightness {:.2f} to {:.2f}".format),
        },
    }


def _mistakes(photos: Photos, probabilities: np.ndarray, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    true, predicted, confidence = photos.labels, probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(true != predicted)
    for index in wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES]:
        yield {
            "record": int(photos.record_numbers[index]),
            "file": _file(photos, index),
            "true": names[true[index]],
            "predicted": names[predicted[index]],
            "probability": float(confidence[index]),
            "probability_of_true": float(probabilities[index, true[index]]),
        }


def _file(photos: Photos, index: int) -> str | None:
    """Returns the name of a photo's file, with control characters escaped; None if it is unknown."""
    name = bytes(photos.names[index]).decode(errors="backslashreplace")
    return "".join(c.encode("unicode_escape").decode() if unicodedata.category(c) == "Cc" else c for c in name) or None


def _slices(values: np.ndarray, correct: np.ndarray, name: Callable[[float, float], str]) -> list[dict[str, Any]]:
    """Returns the accuracy for each third of the values; `name` returns a third's name from its bounds."""
    return [
        {
            "name": name(values[mask].min(), values[mask].max()),
            "accuracy": metrics.proportion(correct[mask].sum(), mask.sum()),
        }
        for mask in metrics.thirds(values)
    ]


def _size_range(low: float, high: float) -> str:
    return f"side {low:.0f} px" if round(low) == round(high) else f"side {low:.0f} to {high:.0f} px"
