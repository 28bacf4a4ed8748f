"""Measures the drift of embeddings with a classifier two-sample test (Lopez-Paz and Oquab 2017, arXiv:1610.06545).

A linear classifier is fitted to tell the photos of two data sets apart, and judged on the other half of the photos.
"""

import math
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score

from trainer import embeddings
from trainer.embeddings import Embeddings
from trainer.intervals import DEVIATIONS

_PHOTOS = 2000  # of each data set, at most
_LEAST = 10  # photos of each data set in each half


def between(baseline: str | None, current: str | None, split: str) -> dict[str, Any] | None:
    """Returns the `drift` of a split, given the folders of two EmbeddingTables.

    None if a folder is None, or if the features are not comparable, because trunks or pixels differ.
    """
    if not baseline or not current:
        return None
    origin = embeddings.read_origin(current)
    if origin is None or embeddings.read_origin(baseline) != origin:
        return None
    return drift(embeddings.read(baseline, split), embeddings.read(current, split))


def drift(baseline: Embeddings, current: Embeddings) -> dict[str, Any] | None:
    """Returns how well the two data sets can be told apart; None if one has too few photos.

    A photo of both data sets is in the same half in both, so the classifier never sees a photo that it is judged on.
    The order of the photos does not matter.

    Returns:
      {auroc: the area under the ROC curve, 0 to 1; 0.5 means no difference,
      limit: without drift, 97.5 % of the values are at most this,
      photos: the number of photos, of both data sets, on which the classifier was judged}.
    """
    halves = [np.split(*_sorted(photos)) for photos in (baseline, current)]
    if min(len(half) for pair in halves for half in pair) < _LEAST:
        return None
    fitted, judged = ([pair[index] for pair in halves] for index in (0, 1))
    classifier = RidgeClassifier().fit(np.concatenate(fitted), _which(*fitted))
    scores = classifier.decision_function(np.concatenate(judged))
    n, m = map(len, judged)
    deviation = math.sqrt((n + m + 1) / (12 * n * m))  # of the Mann-Whitney statistic, divided by n m
    return {
        "auroc": float(roc_auc_score(_which(*judged), scores)),
        "limit": min(1.0, 0.5 + DEVIATIONS * deviation),
        "photos": n + m,
    }


def _sorted(photos: Embeddings) -> tuple[np.ndarray, list[int]]:
    """Returns the features of at most _PHOTOS photos, those with even digests first, and the number of these."""
    digests = np.ascontiguousarray(photos.digests).view(np.uint64).ravel()
    chosen = np.argsort(digests >> 1, kind="stable")[:_PHOTOS]
    odd = digests[chosen] % 2
    order = np.argsort(odd, kind="stable")
    return embeddings.unit(photos.features[chosen[order]]), [int((odd == 0).sum())]


def _which(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.repeat([0, 1], [len(first), len(second)])
