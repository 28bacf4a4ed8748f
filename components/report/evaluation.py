"""The evaluation's section: the exported model's answers over the eval split, and what they amount to."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from components.report import data, metrics, photos
from components.report.photos import Photos
from trainer.features import CLASS, EXAMPLES, PROBABILITIES

_BATCH = 32
_MISTAKES = 12


class Answers(NamedTuple):
    """A model's answers in the order of the records: `true` int64 [n], `probabilities` float32 [n, classes]."""

    true: np.ndarray
    probabilities: np.ndarray


def predict(model: str, examples: str) -> Answers | None:
    """Runs an exported model's `serve_examples` over the eval split; None where that has no examples."""
    answer = tf.saved_model.load(f"{model}/Format-Serving").signatures["serve_examples"]
    spec = {CLASS: tf.io.FixedLenFeature([], tf.int64)}
    true, probabilities = [], []
    for batch in photos.of_split(examples, "eval").batch(_BATCH).prefetch(1):
        true.append(tf.io.parse_example(batch, spec)[CLASS].numpy())
        probabilities.append(answer(**{EXAMPLES: batch})[PROBABILITIES].numpy())
    return Answers(np.concatenate(true), np.concatenate(probabilities)) if true else None


def evaluate(answers: Answers, seen: Photos, names: Sequence[str]) -> dict[str, Any]:
    """Returns the section's numbers.

    Args:
      answers: of the model, over the eval split.
      seen: its photos, all of which can be decoded.
      names: of the classes.
    """
    true, predicted = answers.true, answers.probabilities.argmax(axis=1)
    right, confidence = true == predicted, answers.probabilities.max(axis=1)
    counts = metrics.confusion(true, predicted, len(names))
    slices = {"size": _by(data.side(seen), right, _size), "brightness": _by(seen.brightness, right, _shade)}
    return {
        "examples": len(true),
        "accuracy": metrics.proportion(right.sum(), len(right)),
        "confusion": counts.tolist(),
        "classes": metrics.per_class(counts, names),
        "calibration": metrics.calibration(confidence, right),
        "mistakes": list(_mistakes(answers, predicted, confidence, names)),
        "slices": slices,
    }


def _mistakes(
    answers: Answers, predicted: np.ndarray, confidence: np.ndarray, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    wrong = np.flatnonzero(answers.true != predicted)
    for record in wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES]:
        yield {
            "record": int(record),
            "true": names[answers.true[record]],
            "predicted": names[predicted[record]],
            "probability": float(confidence[record]),
            "probability_of_true": float(answers.probabilities[record, answers.true[record]]),
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
