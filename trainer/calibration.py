"""Calibrates the probabilities of a trained model: fits one temperature on the eval split (Guo et al. 2017).

The exported probabilities are softmax(logits / temperature), so the temperature never changes the predicted class.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 15  # of equal width, as in Guo et al. 2017
_LIMITS = (0.05, 20.0)  # of the temperature


class Fitted(NamedTuple):
    """What is fitted on the eval split after the training. It is exported with the model.

    Attributes:
      temperature: the logits are divided by it; 0.05 to 20.
      error_before: the expected calibration error on the eval split at temperature 1; see `reliability`.
      error_after: the same at `temperature`.
      photos: the number of photos of the eval split.
    """

    temperature: float = 1.0
    error_before: float | None = None
    error_after: float | None = None
    photos: int = 0


UNFITTED = Fitted()  # probabilities are softmax(logits)


def fit(logits: np.ndarray, labels: np.ndarray) -> Fitted:
    """Returns the temperature and the calibration errors.

    Args:
      logits: float [n, classes] of the photos of the eval split.
      labels: int [n], the classes of these photos.
    """
    temperature = fit_temperature(logits, labels)
    return Fitted(
        temperature=temperature,
        error_before=_error(softmax(logits, axis=1), labels),
        error_after=_error(softmax(logits / temperature, axis=1), labels),
        photos=len(labels),
    )


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the temperature that minimises the negative log-likelihood (Guo et al. 2017, arXiv:1706.04599).

    The likelihood has no maximum if every class is predicted correctly: it rises until all probabilities are 0 or 1.
    The temperature is then 1.

    Args:
      logits: float [n, classes].
      labels: int [n].
    """
    logits = np.asarray(logits, np.float64)
    if np.all(logits.argmax(axis=1) == labels):
        return 1.0

    def loss(log_temperature: float) -> float:
        likelihoods = log_softmax(logits / math.exp(log_temperature), axis=1)
        return -float(np.take_along_axis(likelihoods, labels[:, np.newaxis], axis=1).mean())

    low, high = map(math.log, _LIMITS)  # the loss is convex in 1/temperature, so it has one minimum
    return math.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)


def without_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns softmax(logits), float64 [n, classes], given softmax(logits / temperature)."""
    with np.errstate(divide="ignore"):
        return softmax(temperature * np.log(np.asarray(probabilities, np.float64)), axis=1)


def reliability(confidence: np.ndarray, correct: np.ndarray) -> dict[str, Any]:
    """Returns the expected calibration error and the bins of the reliability diagram (Guo et al. 2017).

    The error is the mean over the photos of |accuracy - confidence| of their bins. The 15 bins have equal width.

    Args:
      confidence: float [n], the probability of the predicted class; a bin includes its upper edge.
      correct: bool [n], whether the predicted class is the true class.

    Returns:
      {error, bins: [{low, high, n, confidence, accuracy}]}, without empty bins.
    """
    bin_of_each = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for index in np.unique(bin_of_each):
        inside = bin_of_each == index
        bins.append(
            {
                "low": float(index / BINS),
                "high": float((index + 1) / BINS),
                "n": int(inside.sum()),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(correct[inside].mean()),
            }
        )
    error = sum(each["n"] * abs(each["accuracy"] - each["confidence"]) for each in bins) / len(confidence)
    return {"error": float(error), "bins": bins}


def predict(model: keras.Model, batches: Iterable[tuple[tf.Tensor, tf.Tensor]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the logits, float32 [n, classes], and the classes, int64 [n], of all photos.

    Args:
      model: maps pixels to logits, without a strategy; see `trainer.export.in_float32`.
      batches: pairs of pixels and one-hot classes.
    """
    parts = [(model.predict_on_batch(pixels), classes.numpy().argmax(axis=1)) for pixels, classes in batches]
    logits, labels = map(np.concatenate, zip(*parts, strict=True))
    return logits, labels


def _error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)["error"]
