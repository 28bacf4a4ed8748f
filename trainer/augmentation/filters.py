"""Blurs and sharpens photos; pixels of any range. `table.Operation` describes the arguments."""

import tensorflow as tf

from trainer.augmentation import draws

_LEAST = 0.1  # the smallest deviation: SimCLR's value
_NONE = 1e-3  # a deviation with which a Gaussian changes nothing


def blur(
    seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, sigma: float, probability: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Blurs some photos by a Gaussian with a deviation in [0.1, sigma] pixels."""
    choice, size = draws.seeds(seed, 2)
    deviations = draws.uniform(size, pixels, _LEAST, sigma)
    return gaussian(pixels, tf.where(draws.uniform(choice, pixels, 0.0, 1.0) < probability, deviations, _NONE)), classes


def gaussian(pixels: tf.Tensor, deviations: tf.Tensor) -> tf.Tensor:
    """Blurs each photo by a Gaussian of its deviation in pixels, float32 [batch].

    Rows and columns are multiplied by a matrix of weights for each photo, because a convolution has one kernel for all
    photos. At the edges, the weights of the pixels inside are scaled to the sum 1.
    """
    columns = tf.matmul(_weights(tf.shape(pixels)[1], deviations), _flat(pixels))
    turned = tf.transpose(tf.reshape(columns, tf.shape(pixels)), [0, 2, 1, 3])
    rows = tf.matmul(_weights(tf.shape(pixels)[2], deviations), _flat(turned))
    return tf.ensure_shape(tf.transpose(tf.reshape(rows, tf.shape(turned)), [0, 2, 1, 3]), pixels.shape)


def _weights(size: tf.Tensor, deviations: tf.Tensor) -> tf.Tensor:
    """Returns the weights of the pixels of a row for each of its pixels: float32 [batch, size, size]."""
    places = tf.range(tf.cast(size, tf.float32))
    distances = (places[:, tf.newaxis] - places) / deviations[:, tf.newaxis, tf.newaxis]
    return tf.nn.softmax(-tf.square(distances) / 2)


def _flat(pixels: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(pixels)
    return tf.reshape(pixels, [shape[0], shape[1], shape[2] * shape[3]])


def smoothed(pixels: tf.Tensor) -> tf.Tensor:
    """Returns photos whose inner pixels are a weighted mean of 3 × 3 pixels: 5/13 of itself, 1/13 of each neighbour."""
    rows = pixels[:, :-2] + pixels[:, 1:-1] + pixels[:, 2:]
    sums = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    inner = (sums + 4 * pixels[:, 1:-1, 1:-1]) / 13
    middle = tf.concat([pixels[:, 1:-1, :1], inner, pixels[:, 1:-1, -1:]], axis=2)
    return tf.concat([pixels[:, :1], middle, pixels[:, -1:]], axis=1)
