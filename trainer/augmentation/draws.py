"""Random numbers for each photo of a batch, from stateless seeds."""

from collections.abc import Sequence

import tensorflow as tf


def seeds(seed: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Returns `count` different seeds, int [2]."""
    return tf.unstack(tf.random.experimental.stateless_split(seed, count))


def uniform(seed: tf.Tensor, pixels: tf.Tensor, low: float, high: float, shape: Sequence[int] = ()) -> tf.Tensor:
    """Returns numbers in [low, high) for each photo: float32 [batch, *shape]."""
    return tf.random.stateless_uniform([tf.shape(pixels)[0], *shape], seed, low, high)


def beta(seed: tf.Tensor, pixels: tf.Tensor, alpha: float) -> tf.Tensor:
    """Returns numbers of the distribution Beta(alpha, alpha) for each photo: float32 [batch]."""
    first, second = tf.unstack(tf.random.stateless_gamma([2, tf.shape(pixels)[0]], seed, alpha))
    return tf.math.divide_no_nan(first, first + second)  # both may underflow to 0
