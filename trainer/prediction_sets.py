"""Split-conformal prediction sets: RAPS (Angelopoulos et al. 2021, arXiv:2009.14193), without its random part.

The score of a class is the probability of all more probable classes, plus 0.01 for each of them. (In the paper's terms:
u = 0, λ = 0.01, k_reg = 1.) A photo's set has the classes whose score is at most a quantile of the true classes' scores
on other photos. The most probable class has the score 0, so that no set is empty.
"""

import math
from fractions import Fraction

import numpy as np
import tensorflow as tf

PENALTY = 0.01


def ranked(probabilities: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the classes from the most to the least probable, int32 [n, classes], and their scores, float32."""
    order = tf.argsort(probabilities, axis=1, direction="DESCENDING", stable=True)
    descending = tf.gather(probabilities, order, batch_dims=1)
    more_probable = tf.range(probabilities.shape[1], dtype=probabilities.dtype)
    return order, tf.cumsum(descending, axis=1, exclusive=True) + PENALTY * more_probable


def sizes_and_hits(probabilities: np.ndarray, labels: np.ndarray, quantile: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sizes of the photos' sets, int64 [n], and whether each contains the true class, bool [n]."""
    _, scores = ranked(tf.constant(probabilities))
    return (scores.numpy() <= quantile).sum(axis=1), _scores_of(probabilities, labels) <= quantile


def fit_quantile(probabilities: np.ndarray, labels: np.ndarray, coverage: float) -> float:
    """Returns the quantile for sets that contain the true class with a probability of at least `coverage`.

    It is halfway between the ⌈(n + 1) · coverage⌉-th smallest score of the true classes and the next, so that the
    rounding of the exported graph loses no photo; see `trainer.confidence.between`. With fewer than coverage /
    (1 - coverage) photos there is none, and the result is larger than every score: each set then has all classes.

    Args:
      probabilities: float32 [n, classes].
      labels: int [n].
      coverage: above 0 and below 1.
    """
    scores = np.sort(_scores_of(probabilities, labels))
    every = 1 + PENALTY * probabilities.shape[1]
    position = math.ceil((len(scores) + 1) * Fraction(str(coverage)))  # in floats, 10 · 0.9 may exceed 9
    if position > len(scores):
        return every
    following = scores[position] if position < len(scores) else every
    return float((scores[position - 1] + following) / 2)


def _scores_of(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    order, scores = (each.numpy() for each in ranked(tf.constant(probabilities)))
    return scores[order == labels[:, np.newaxis]]
