"""Fits on the eval split what the exported model needs besides its weights, such as the temperature (Guo et al. 2017).

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

from trainer import confidence, prediction_sets
from trainer.settings import Serving

BINS = 15  # of equal width, as in Guo et al. 2017
_LIMITS = (0.05, 20.0)  # of the temperature
_SIGNIFICANT = 3.84  # by chance, one parameter gains more in 5 % of the cases (twice the log-likelihood; Wilks 1938)


class Fitted(NamedTuple):
    """What is fitted on the eval split after the training. It is exported with the model.

    Attributes:
      temperature: the logits are divided by it; 0.05 to 20.
      error_before: the expected calibration error on the eval split at temperature 1; see `reliability`.
      error_after: the same at `temperature`.
      photos: the number of photos of the eval split.
      threshold: the model is sure of photos whose largest probability is at least this; None without the setting.
      sure_coverage: the fraction of the eval photos of which it is sure.
      sure_accuracy: the accuracy on these photos; None if there are none.
      quantile: of the scores of `trainer.prediction_sets`; None without prediction sets.
    """

    temperature: float = 1.0
    error_before: float | None = None
    error_after: float | None = None
    photos: int = 0
    threshold: float | None = None
    sure_coverage: float | None = None
    sure_accuracy: float | None = None
    quantile: float | None = None


UNFITTED = Fitted()  # probabilities are softmax(logits)


def fit(logits: np.ndarray, labels: np.ndarray, serving: Serving) -> Fitted:
    """Returns the temperature and, if the settings ask for them, the threshold of `sure` and the quantile of the sets.

    Args:
      logits: float32 [n, classes] of the photos of the eval split.
      labels: int [n], the classes of these photos.
      serving: the settings.
    """
    temperature = fit_temperature(logits, labels)
    probabilities = softmax(logits / np.float32(temperature), axis=1)  # in float32, as in the exported graph
    sure = _sure(probabilities, labels, serving)
    return Fitted(
        temperature=temperature,
        error_before=_error(softmax(logits, axis=1), labels),
        error_after=_error(probabilities, labels),
        photos=len(labels),
        threshold=sure.threshold if sure else None,
        sure_coverage=sure.coverage if sure else None,
        sure_accuracy=sure.accuracy if sure else None,
        quantile=prediction_sets.fit_quantile(probabilities, labels, serving.set_coverage)
        if serving.set_coverage
        else None,
    )


def _sure(probabilities: np.ndarray, labels: np.ndarray, serving: Serving) -> confidence.Point | None:
    points = confidence.curve(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    if serving.sure_accuracy:
        return confidence.between(points, confidence.for_accuracy(points, serving.sure_accuracy))
    if serving.sure_coverage:
        return confidence.between(points, confidence.for_coverage(points, serving.sure_coverage))
    return None


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Returns the temperature that minimises the negative log-likelihood (Guo et al. 2017, arXiv:1706.04599).

    It is 1 unless it is significantly better than 1 in a likelihood-ratio test at 5 %: of few photos, or of few wrong
    classes, it would be chance. If every class is predicted correctly, the likelihood has no maximum: it rises until
    all probabilities are 0 or 1. The temperature is then 1, too.

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
    best = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    gain = 2 * len(labels) * (loss(0.0) - best.fun)
    return math.exp(best.x) if gain > _SIGNIFICANT else 1.0


def without_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns softmax(logits), float64 [n, classes], given softmax(logits / temperature)."""
    with np.errstate(divide="ignore"):
        return softmax(temperature * np.log(np.asarray(probabilities, np.float64)), axis=1)


def reliability(probability: np.ndarray, correct: np.ndarray) -> dict[str, Any]:
    """Returns the expected calibration error and the bins of the reliability diagram (Guo et al. 2017).

    The error is the mean over the photos of |accuracy - confidence| of their bins. The 15 bins have equal width.

    Args:
      probability: float [n], of the predicted class; a bin includes its upper edge.
      correct: bool [n], whether the predicted class is the true class.

    Returns:
      {error, bins: [{low, high, n, confidence, accuracy}]}, without empty bins.
    """
    bin_of_each = np.clip(np.ceil(probability * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for index in np.unique(bin_of_each):
        inside = bin_of_each == index
        bins.append(
            {
                "low": float(index / BINS),
                "high": float((index + 1) / BINS),
                "n": int(inside.sum()),
                "confidence": float(probability[inside].mean()),
                "accuracy": float(correct[inside].mean()),
            }
        )
    error = sum(each["n"] * abs(each["accuracy"] - each["confidence"]) for each in bins) / len(probability)
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
