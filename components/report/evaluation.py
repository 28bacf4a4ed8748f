"""Computes the numbers of the section about the evaluation from the candidate's predictions on the judged split."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from components import prediction_files
from components.photos import Photos
from components.report import certainty, data, metrics
from components.slices import slices_of

_MISTAKES = 12  # mistakes that the page shows


def evaluate(
    probabilities_by_digest: dict[bytes, np.ndarray],
    photos: Photos,
    names: Sequence[str],
    fitted: dict[str, Any] | None = None,
    familiar_by_digest: dict[bytes, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Returns the numbers of the section; see `components.report`.

    Args:
      probabilities_by_digest: see `prediction_files.read`.
      photos: the photos of the judged split. The data gate has checked that all can be decoded.
      names: the class names.
      fitted: what the Trainer fitted on eval, a `trainer.calibration.Fitted`; None if it is unknown.
      familiar_by_digest: see `prediction_files.read_familiar`.
    """
    probabilities = prediction_files.of_photos(probabilities_by_digest, photos)
    predicted = probabilities.argmax(axis=1)
    correct = photos.labels == predicted
    familiar = prediction_files.of_photos(familiar_by_digest, photos)[:, 0] if familiar_by_digest else None
    counts = metrics.confusion(photos.labels, predicted, len(names))
    return {
        "examples": len(photos.labels),
        "accuracy": metrics.proportion(correct.sum(), len(correct)),
        "confusion": counts.tolist(),
        "classes": metrics.per_class(counts, names),
        **certainty.describe(probabilities, photos.labels, fitted),
        "familiar": None if familiar is None else certainty.of_familiar(familiar, correct),
        "mistakes": list(_mistakes(photos, probabilities, names, familiar)),
        "slices": {
            key: [
                {"name": name, "accuracy": metrics.proportion(correct[mask].sum(), mask.sum())} for name, mask in each
            ]
            for key, each in slices_of(photos).items()
        },
    }


def _mistakes(
    photos: Photos, probabilities: np.ndarray, names: Sequence[str], familiar: np.ndarray | None
) -> Iterator[dict[str, Any]]:
    true, predicted, confidence = photos.labels, probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(true != predicted)
    for index in wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES]:
        yield {
            "record": int(photos.record_numbers[index]),
            "file": data.file_name(photos, index),
            "true": names[true[index]],
            "predicted": names[predicted[index]],
            "probability": float(confidence[index]),
            "probability_of_true": float(probabilities[index, true[index]]),
            "familiar": None if familiar is None else float(familiar[index]),
        }
