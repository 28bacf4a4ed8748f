"""Computes the numbers of the section about the evaluation from the candidate's predictions on the judged split."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from components import prediction_files
from components.photos import Photos
from components.report import certainty, data, metrics
from components.slices import slices_of
from trainer.familiarity import LIMIT

_SHOWN = 12  # mistakes and unfamiliar photos that the page shows


class _Judged(NamedTuple):
    """The photos of the judged split with their probabilities; see `evaluate` for `relabelled`."""

    photos: Photos
    probabilities: np.ndarray
    names: Sequence[str]
    familiar: np.ndarray | None
    relabelled: Mapping[str, str]

    def first(self, indices: np.ndarray) -> list[dict[str, Any]]:
        """Returns the first photos for the page."""
        return [self._describe(int(index)) for index in indices[:_SHOWN]]

    def _describe(self, index: int) -> dict[str, Any]:
        photos, probabilities = self.photos, self.probabilities[index]
        true, predicted = photos.labels[index], probabilities.argmax()
        return {
            "record": int(photos.record_numbers[index]),
            "file": data.file_name(photos, index),
            "true": self.names[true],
            "predicted": self.names[predicted],
            "probability": float(probabilities[predicted]),
            "probability_of_true": float(probabilities[true]),
            "familiar": None if self.familiar is None else float(self.familiar[index]),
            "was": self.relabelled.get(photos.digests[index].tobytes().hex()),
        }


def evaluate(
    probabilities_by_digest: dict[bytes, np.ndarray],
    photos: Photos,
    names: Sequence[str],
    fitted: dict[str, Any] | None = None,
    familiar_by_digest: dict[bytes, np.ndarray] | None = None,
    relabelled: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Returns the numbers of the section; see `components.report`.

    Args:
      probabilities_by_digest: see `prediction_files.read`.
      photos: the photos of the judged split. The data gate has checked that all can be decoded.
      names: the class names.
      fitted: what the Trainer fitted on eval, a `trainer.calibration.Fitted`; None if it is unknown.
      familiar_by_digest: see `prediction_files.read_familiar`.
      relabelled: the records' own classes, by the digest in hex, of photos that `data.edits` relabelled.
    """
    probabilities = prediction_files.of_photos(probabilities_by_digest, photos)
    predicted = probabilities.argmax(axis=1)
    correct = photos.labels == predicted
    familiar = prediction_files.of_photos(familiar_by_digest, photos)[:, 0] if familiar_by_digest else None
    counts = metrics.confusion(photos.labels, predicted, len(names))
    judged = _Judged(photos, probabilities, names, familiar, relabelled or {})
    return {
        "examples": len(photos.labels),
        "accuracy": metrics.proportion(correct.sum(), len(correct)),
        "confusion": counts.tolist(),
        "classes": metrics.per_class(counts, names),
        **certainty.describe(probabilities, photos.labels, fitted),
        "familiar": None if familiar is None else _familiar(judged, familiar, correct),
        "mistakes": judged.first(_most_confident(probabilities, ~correct)),
        "slices": _slices(photos, correct),
    }


def _familiar(judged: _Judged, familiar: np.ndarray, correct: np.ndarray) -> dict[str, Any]:
    unfamiliar = np.flatnonzero(familiar < LIMIT)
    least_first = unfamiliar[np.argsort(familiar[unfamiliar], kind="stable")]
    return {**certainty.of_familiar(familiar, correct), "photos": judged.first(least_first)}


def _most_confident(probabilities: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Returns the indices of the wrong photos, the most confident first."""
    photos = np.flatnonzero(wrong)
    return photos[np.argsort(-probabilities.max(axis=1)[photos], kind="stable")]


def _slices(photos: Photos, correct: np.ndarray) -> dict[str, list[dict[str, Any]]]:
    return {
        key: [{"name": name, "accuracy": metrics.proportion(correct[mask].sum(), mask.sum())} for name, mask in each]
        for key, each in slices_of(photos).items()
    }
