"""How familiar a photo is to a probe: whether it is like the photos of the training and the eval split.

Two distances are combined: the energy of the logits (Liu et al. 2020, arXiv:2010.03759) and the cosine distance to the
nearest training photo (Sun et al. 2022, arXiv:2204.06507), in the features' principal directions. Each misses unknown
photos that the other one finds.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.special import logsumexp
from sklearn.decomposition import PCA

from trainer import embeddings

LIMIT = 0.05  # a photo below it is less familiar than 95 % of the eval photos
REFERENCES = 4096  # training photos in the exported graph, at most
DIRECTIONS = 128  # principal directions, at most

_Pair = tuple[float, float]


class Familiarity(NamedTuple):
    """What the exported graph needs to compute `familiar`.

    Attributes:
      directions: float32 [d, k], the principal directions of the features of the training split.
      references: float16 [n, k], the features of training photos in these directions, scaled to length 1.
      energy: the mean and the deviation of the energies of the eval photos.
      distance: the mean and the deviation of the distances of the eval photos to their nearest reference.
      sums: float32 [m], the sum of both standardised values for each eval photo, in ascending order.
    """

    directions: np.ndarray
    references: np.ndarray
    energy: _Pair
    distance: _Pair
    sums: np.ndarray

    def figures(self) -> dict[str, Any]:
        """Returns the numbers of photos, for `history.json`."""
        return {"references": len(self.references), "photos": len(self.sums)}


def fit(training: np.ndarray, evaluation: np.ndarray, logits: np.ndarray, seed: int = 0) -> Familiarity:
    """Returns the distances of the eval photos, and what they are computed from.

    Args:
      training: float [n, d], features of the training split; at most REFERENCES of them are used, chosen by the seed.
      evaluation: float [m, d], features of the eval split.
      logits: float32 [m, classes], of the eval split.
      seed: for the choice.
    """
    chosen = np.sort(np.random.default_rng(seed).permutation(len(training))[:REFERENCES])
    features = training[chosen].astype(np.float32)
    count = min(DIRECTIONS, *features.shape)
    solver = "randomized" if count == DIRECTIONS else "full"
    directions = PCA(count, svd_solver=solver, random_state=seed).fit(features).components_.T.astype(np.float32)
    references = embeddings.unit(features @ directions).astype(np.float16)
    similarities = embeddings.unit(evaluation.astype(np.float32) @ directions) @ references.astype(np.float32).T
    distances, energies = 1 - similarities.max(axis=1), -logsumexp(logits, axis=1)
    energy, distance = _mean_and_deviation(energies), _mean_and_deviation(distances)
    sums = (energies - energy[0]) / energy[1] + (distances - distance[0]) / distance[1]
    return Familiarity(directions, references, energy, distance, np.sort(sums).astype(np.float32))


def familiar(fitted: Familiarity, features: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns the fraction of eval photos that are at most as familiar: float32 [batch], 0 to 1.

    Of photos like the eval photos, about 5 % are below 0.05.

    Args:
      fitted: see `fit`.
      features: float32 [batch, d].
      logits: float32 [batch, classes], at temperature 1.
    """
    directed = tf.math.l2_normalize(tf.linalg.matmul(features, fitted.directions), axis=1)
    similarities = tf.linalg.matmul(directed, tf.cast(tf.constant(fitted.references), tf.float32), transpose_b=True)
    distances, energies = 1 - tf.reduce_max(similarities, axis=1), -tf.reduce_logsumexp(logits, axis=1)
    (energy, energy_scale), (distance, distance_scale) = fitted.energy, fitted.distance
    sums = (energies - energy) / energy_scale + (distances - distance) / distance_scale
    photos = len(fitted.sums)
    return tf.cast(photos - tf.searchsorted(fitted.sums, sums), tf.float32) / photos


def _mean_and_deviation(values: np.ndarray) -> _Pair:
    return float(values.mean()), max(float(values.std()), 1e-6)
