"""Fits the last layer of a model to embeddings: multinomial logistic regression with an L2 penalty.

Its strength is chosen by cross-validation on the training split. A fine-tuning that starts from this layer changes the
pretrained features less (Kumar et al., 2022, "Fine-tuning can distort pretrained features and underperform
out-of-distribution", arXiv:2202.10054).
"""

from typing import NamedTuple

import keras
import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from trainer.embeddings import Embeddings
from trainer.models.head import HEAD

FOLDS = 5
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # scikit-learn's C, for features whose mean square is 1
_DEFAULT = 0.1
_ITERATIONS = 200
_TOLERANCE = 1e-3
_NEVER = -100.0  # the logit of a class without rows


class Head(NamedTuple):
    """A linear layer: kernel float32 [d, classes], bias float32 [classes]."""

    kernel: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Maps features, float [n, d], to float32 [n, classes]."""
        return features.astype(np.float32) @ self.kernel + self.bias


class Probe(NamedTuple):
    """A fitted last layer.

    Attributes:
      head: the layer.
      strength: the chosen C, the inverse of the penalty.
      losses: the mean log loss in cross-validation, by strength, up to the first that is too weak; empty if a class has
        too few photos.
    """

    head: Head
    strength: float
    losses: dict[float, float]


def fit(
    photos: Embeddings, classes: int, more: Embeddings | None = None, seed: int = 0, balanced: bool = False
) -> Probe:
    """Fits a last layer.

    Args:
      photos: the training split. The strength is chosen on them, with FOLDS folds.
      classes: the number of classes.
      more: all rows to fit with the chosen strength, such as the photos and their views; None fits `photos`.
      seed: for the folds.
      balanced: gives all classes the same weight; see `trainer.balance`.
    """
    losses: dict[float, float] = {}
    if np.bincount(photos.labels, minlength=classes).min() > 1:  # otherwise a class is in no training fold
        for strength in _STRENGTHS:
            losses[strength] = _loss(photos, classes, strength, seed)
            if losses[strength] > min(losses.values()):  # the loss has one minimum
                break
    strength = min(losses, key=losses.__getitem__, default=_DEFAULT)
    rows = more or photos
    scaled = strength * len(photos.labels) / max(1, len(rows.labels))  # the views of a photo count as one photo
    return Probe(fit_head(rows.features, rows.labels, classes, scaled, balanced), strength, losses)


def fit_head(features: np.ndarray, labels: np.ndarray, classes: int, strength: float, balanced: bool = False) -> Head:
    """Fits the layer with one strength.

    Args:
      features: float [n, d].
      labels: int [n]. A class without rows gets the logit of a probability of 0.
      classes: the number of classes.
      strength: scikit-learn's C, for features whose mean square is 1.
      balanced: gives all classes the same weight in the loss.
    """
    features = features.astype(np.float32)
    scale = 1 / max(float(np.sqrt(np.mean(np.square(features)))), 1e-6)
    mean = features.mean(axis=0)  # without it, the same optimum needs two to three times the iterations
    present = np.unique(labels)
    kernel = np.zeros([features.shape[1], classes], np.float32)
    bias = np.full([classes], _NEVER, np.float32)
    bias[present] = 0.0
    if len(present) > 1:
        weighted = "balanced" if balanced else None
        model = LogisticRegression(C=strength, tol=_TOLERANCE, max_iter=_ITERATIONS, class_weight=weighted)
        fitted = model.fit((features - mean) * scale, labels)
        weights, offsets = fitted.coef_, fitted.intercept_
        if len(present) == 2:  # scikit-learn has one logit for two classes
            weights, offsets = np.concatenate([-weights, weights]) / 2, np.concatenate([-offsets, offsets]) / 2
        kernel[:, present] = weights.T * scale
        bias[present] = offsets - mean @ kernel[:, present]
    return Head(kernel, bias)


def folds(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Returns the fold of each row, int [n]: random, with the same number of rows of each class, as far as possible."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    result = np.empty(len(labels), np.int64)
    result[order] = np.arange(len(labels)) % count
    return result


def out_of_fold(
    features: np.ndarray, labels: np.ndarray, classes: int, strength: float = 0.1, seed: int = 0
) -> np.ndarray:
    """Returns the probabilities of each row by a layer that was fitted to the other folds: float32 [n, classes]."""
    fold, result = folds(labels, FOLDS, seed), np.empty([len(labels), classes], np.float32)
    for number in np.unique(fold):
        out = fold == number
        head = fit_head(features[~out], labels[~out], classes, strength)
        result[out] = softmax(head.logits(features[out]), axis=1)
    return result


def assign(model: keras.Model, head: Head) -> None:
    """Sets the last layer of a model."""
    model.get_layer(HEAD).set_weights(list(head))


def scores(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Returns the mean log loss and the accuracy."""
    return _log_loss(softmax(logits, axis=1), labels), float((logits.argmax(1) == labels).mean())


def _loss(photos: Embeddings, classes: int, strength: float, seed: int) -> float:
    return _log_loss(out_of_fold(photos.features, photos.labels, classes, strength, seed), photos.labels)


def _log_loss(probabilities: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean())
