"""Cuts photos out and mixes them; pixels of any range. `table.Operation` describes the arguments."""

import tensorflow as tf

from trainer.augmentation import draws


def cutout(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, size: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Replaces a square of each photo by 0: grey, or with `data.normalize: mean-deviation` the mean.

    The centre may be anywhere in the photo, so the square may be partly outside, as in the paper.
    """
    mask = squares(seed, pixels, tf.fill([tf.shape(pixels)[0]], size))
    return tf.where(mask, 0.0, pixels), classes


def mixup(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, alpha: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes each photo, and its class, with the next photo of the batch.

    Keras's MixUp layer takes no seed for each call.
    """
    return mixed(pixels, classes, draws.beta(seed, pixels, alpha)[:, tf.newaxis, tf.newaxis, tf.newaxis])


def cutmix(
    seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, alpha: float, probability: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Pastes a square of the next photo of the batch into some photos; the class's share is the area that is left."""
    choice, area, place = draws.seeds(seed, 3)
    sides = tf.sqrt(1.0 - draws.beta(area, pixels, alpha))
    sides = tf.where(draws.uniform(choice, pixels, 0.0, 1.0) < probability, sides, 0.0)
    return mixed(pixels, classes, 1.0 - tf.cast(squares(place, pixels, sides), tf.float32))


def mixed(pixels: tf.Tensor, classes: tf.Tensor, shares: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes each photo, and its class, with the next photo of the batch.

    Args:
      pixels: float32 [batch, height, width, channels].
      classes: one-hot float32 [batch, classes].
      shares: the photo's own share of each pixel, float32 [batch, height, width, 1] or [batch, 1, 1, 1].
    """
    own = tf.reduce_mean(shares, axis=[1, 2])
    return (
        shares * pixels + (1.0 - shares) * tf.roll(pixels, 1, axis=0),
        own * classes + (1.0 - own) * tf.roll(classes, 1, axis=0),
    )


def squares(seed: tf.Tensor, pixels: tf.Tensor, sides: tf.Tensor) -> tf.Tensor:
    """Returns a mask of each photo, bool [batch, height, width, 1], that is true in a square around a random pixel.

    Args:
      seed: for the centres.
      pixels: float32 [batch, height, width, channels].
      sides: the sides of the squares as shares of the photo's, float32 [batch]; 0 for none.
    """
    inside = []
    for own, axis in zip(draws.seeds(seed, 2), (1, 2), strict=True):
        length = tf.cast(tf.shape(pixels)[axis], tf.float32)
        side = tf.round(sides * length)
        start = tf.floor(draws.uniform(own, pixels, 0.0, 1.0) * length) - tf.floor(side / 2)
        places = tf.range(length)
        inside.append((places >= start[:, tf.newaxis]) & (places < (start + side)[:, tf.newaxis]))
    rows, columns = inside
    return rows[:, :, tf.newaxis, tf.newaxis] & columns[:, tf.newaxis, :, tf.newaxis]
