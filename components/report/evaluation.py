"""Computes the numbers of the section about the evaluation from the candidate's predictions on the judged split."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from components import prediction_files
from components.photos import Photos
from components.report import certainty, data, metrics
from components.slices import slices_of
from trainer.familiarity import LIMIT

_SHOWN = 12  # mistakes and unfamiliar photos that the page shows


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

    def described(chosen: np.ndarray) -> list[dict[str, Any]]:
        return [_described(int(index), photos, probabilities, names, familiar) for index in chosen[:_SHOWN]]

    return {
        "examples": len(photos.labels),
        "accuracy": metrics.proportion(correct.sum(), len(correct)),
        "confusion": counts.tolist(),
        "classes": metrics.per_class(counts, names),
        **certainty.describe(probabilities, photos.labels, fitted),
        "familiar": None
        if familiar is None
        else {**certainty.of_familiar(familiar, correct), "photos": described(_least_familiar(familiar))},
        "mistakes": described(_most_confident(probabilities, ~correct)),
        "slices": {
            key: [
                {"name": name, "accuracy": metrics.proportion(correct[mask].sum(), mask.sum())} for name, mask in each
            ]
            for key, each in slices_of(photos).items()
        },
    }


def _most_confident(probabilities: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Returns the indices of the wrong photos, the most confident first."""
    photos = np.flatnonzero(wrong)
    return photos[np.argsort(-probabilities.max(axis=1)[photos], kind="stable")]


def _least_familiar(familiar: np.ndarray) -> np.ndarray:
    """Returns the indices of the unfamiliar photos, the least familiar first."""
    photos = np.flatnonzero(familiar < LIMIT)
    return photos[np.argsort(familiar[photos], kind="stable")]


def _described(
    index: int, photos: Photos, probabilities: np.ndarray, names: Sequence[str], familiar: np.ndarray | None
) -> dict[str, Any]:
    true, predicted = photos.labels[index], probabilities[index].argmax()
    return {
        "record": int(photos.record_numbers[index]),
        "file": data.file_name(photos, index),
        "true": names[true],
        "predicted": names[predicted],
        "probability": float(probabilities[index, predicted]),
        "probability_of_true": float(probabilities[index, true]),
        "familiar": None if familiar is None else float(familiar[index]),
    }
