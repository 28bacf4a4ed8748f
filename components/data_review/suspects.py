"""Finds labels that are probably wrong: confident learning (Northcutt, Jiang and Chuang, 2021, arXiv:1911.00068).

A photo's probabilities come from photos other than itself: the mean of a linear head that was fitted without the photo,
and of the classes of its nearest photos (Bahri, Jiang and Gupta, 2020, arXiv:2004.12289).
"""

from typing import NamedTuple

import numpy as np

from trainer import probe
from trainer.embeddings import unit
from trainer.intervals import proportion

_STRENGTH = 3e-3  # strong, because some labels are wrong; of rows of length 1, so it does not depend on the trunks
_MARGIN = 0.2  # between the probabilities of the likely class and of the label
FEWEST = 5  # photos of a class: with fewer, the probabilities say little


class Suspects(NamedTuple):
    """The photos whose label is probably wrong, the most certain first.

    Attributes:
      photos: int64 [m], their indices.
      likely: int64 [m], the most probable class.
      probabilities: float32 [m, 2], of the given label and of the likely class.
      accuracy: the fraction of judged photos whose most probable class is their label; None if none could be judged.
      not_judged: the class indices with fewer than FEWEST photos.
      problem: why no photo was judged, or ''.
    """

    photos: np.ndarray
    likely: np.ndarray
    probabilities: np.ndarray
    accuracy: float | None
    not_judged: list[int]
    problem: str


def find(features: np.ndarray, labels: np.ndarray, nearest: np.ndarray, classes: int) -> Suspects:
    """Returns the photos whose label is probably wrong.

    Args:
      features: float [n, d], the embeddings.
      labels: int64 [n], the given class indices.
      nearest: int64 [n, k], the nearest other photos of each.
      classes: the number of classes.
    """
    counts = np.bincount(labels, minlength=classes)
    enough = np.flatnonzero(counts >= FEWEST)
    few = np.flatnonzero((counts > 0) & (counts < FEWEST)).tolist()
    if len(enough) < 2:
        return _none(None, few, f"expected at least two classes with {FEWEST} or more photos")
    index = np.full(classes, -1)
    index[enough] = np.arange(len(enough))
    judged = np.flatnonzero(index[labels] >= 0)
    given = index[labels[judged]]
    rows = features[judged].astype(np.float32)
    heads = probe.out_of_fold(unit(rows - rows.mean(0)), given, len(enough), _STRENGTH)
    likelihood = (heads + votes(index[labels][nearest[judged]], len(enough))) / 2
    right = proportion(np.sum(likelihood.argmax(1) == given), len(given))
    accuracy, largest = right["value"], np.bincount(given).max() / len(given)
    if right["low"] <= largest:
        problem = (
            f"the embeddings do not tell the classes apart beyond doubt: accuracy {accuracy:.3f}, share of the largest "
            f"class {largest:.3f}"
        )
        return _none(accuracy, few, problem)
    found = rank(likelihood, given)
    likely = _likely(likelihood, given)[found]
    probabilities = np.stack([likelihood[found, given[found]], likelihood[found, likely]], 1).astype(np.float32)
    return Suspects(judged[found], enough[likely], probabilities, accuracy, few, "")


def _none(accuracy: float | None, few: list[int], problem: str) -> Suspects:
    return Suspects(
        np.zeros([0], np.int64), np.zeros([0], np.int64), np.zeros([0, 2], np.float32), accuracy, few, problem
    )


def votes(labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns the fraction of each class among the labels of a row; labels below 0 are ignored.

    Args:
      labels: int64 [n, k].
      classes: the number of classes.

    Returns:
      float32 [n, classes]; 1/classes in rows without labels.
    """
    counts = (labels[:, :, np.newaxis] == np.arange(classes)).sum(1).astype(np.float32)
    total = counts.sum(1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), np.float32(1 / classes))


def rank(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the indices of the photos whose label is probably wrong, by their margin.

    `joint` estimates how many photos of each class are mislabelled. Of each class, as many photos with the lowest
    probability of their label are suspects (the paper's "prune by class"); and of each pair of classes, as many with
    the largest margin for the other class ("prune by noise rate"). A photo is a suspect by either rule, if another
    class is more probable than its label by _MARGIN.

    Args:
      probabilities: float [n, classes].
      labels: int64 [n], the given classes.
    """
    counts = np.rint(joint(probabilities, labels)).astype(int)
    own = probabilities[np.arange(len(labels)), labels]
    chosen = np.zeros(len(labels), bool)
    for given in np.unique(labels):
        photos = np.flatnonzero(labels == given)
        chosen[_lowest(photos, own[photos], counts[given].sum() - counts[given, given])] = True
        for other in np.flatnonzero(counts[given]):
            if other != given:
                chosen[_lowest(photos, own[photos] - probabilities[photos, other], counts[given, other])] = True
    margin = own - probabilities[np.arange(len(labels)), _likely(probabilities, labels)]
    found = np.flatnonzero(chosen & (margin <= -_MARGIN))
    return found[np.argsort(margin[found], kind="stable")]


def joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the estimated number of photos of each given (row) and true class (column): the confident joint.

    A photo counts for the most probable of the classes whose probability is at least their threshold: the mean
    probability of the class over the photos that have its label. Each row is scaled to the photos with its label.

    Args:
      probabilities: float [n, classes].
      labels: int64 [n]. Classes without photos have zeros.
    """
    classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=classes)
    thresholds = np.full(classes, np.inf)
    for label in np.flatnonzero(counts):
        thresholds[label] = probabilities[labels == label, label].mean(dtype=np.float64) - 1e-6
    confident = np.where(probabilities >= thresholds, probabilities, -1)
    counted = confident.max(1) >= 0
    result = np.zeros([classes, classes])
    np.add.at(result, (labels[counted], confident.argmax(1)[counted]), 1)
    totals = result.sum(1, keepdims=True)
    return np.where(totals > 0, result / np.maximum(totals, 1) * counts[:, np.newaxis], np.diag(counts))


def _lowest(photos: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    return photos[np.argsort(values, kind="stable")[:count]]


def _likely(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Returns the most probable class other than the label, int64 [n]."""
    others = probabilities.copy()
    others[np.arange(len(labels)), labels] = -1
    return others.argmax(1)
