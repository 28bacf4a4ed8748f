"""Random changes to training batches: photos and their one-hot classes.

The random numbers depend only on the seed of each batch.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

Augment = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

_MIXUP_ALPHA = 0.2  # the paper's value for ImageNet


def augmentation(names: Sequence[str]) -> Augment | None:
    """Returns a function of a seed (int [2]), pixels and classes that applies the named changes; None without names.

    'flip' mirrors half of the photos, left to right. 'saturation' multiplies the saturation by 0 to 2 (for pixels in
    [-1, 1]). 'mixup' mixes each photo with another photo of the batch, and their classes.
    """
    if not names:
        return None

    def apply(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if "flip" in names:
            pixels = tf.image.stateless_random_flip_left_right(pixels, _fold_in(seed, 0))
        if "saturation" in names:
            pixels = saturate(pixels, _fold_in(seed, 1))
        return mixup(pixels, classes, _fold_in(seed, 2)) if "mixup" in names else (pixels, classes)

    return apply


def saturate(pixels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Multiplies each photo's HSV saturation by a factor drawn from [0, 2], as `tf.image.random_saturation` does.

    Args:
      pixels: float32 [batch, height, width, 3] in [-1, 1].
      seed: int [2], for the factors.
    """
    factors = tf.random.stateless_uniform([tf.shape(pixels)[0], 1, 1, 1], seed, 0.0, 2.0)
    red, green, blue = tf.split(pixels, 3, axis=-1)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    # Saturation is chroma / value, at most 1. If all channels move towards `value` by the same factor, hue and value do
    # not change.
    saturated = value - (value - pixels) * tf.minimum(factors, tf.math.divide_no_nan(value + 1.0, chroma))
    return tf.maximum(saturated, -1.0)  # rounding errors may be below -1


def mixup(pixels: tf.Tensor, classes: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes each photo, and its class, with the next photo of the batch (Zhang et al., 2018, arXiv:1710.09412).

    Args:
      pixels: float32 [batch, height, width, channels].
      classes: one-hot float32 [batch, classes].
      seed: int [2], for the Beta-distributed shares. Keras's MixUp layer takes no seed for each call.
    """
    first, second = tf.unstack(tf.random.stateless_gamma([2, tf.shape(pixels)[0]], seed, _MIXUP_ALPHA))
    share = tf.math.divide_no_nan(first, first + second)  # both may underflow to 0
    pixel_share, class_share = share[:, tf.newaxis, tf.newaxis, tf.newaxis], share[:, tf.newaxis]
    return (
        pixel_share * pixels + (1.0 - pixel_share) * tf.roll(pixels, 1, axis=0),
        class_share * classes + (1.0 - class_share) * tf.roll(classes, 1, axis=0),
    )


def _fold_in(seed: tf.Tensor, number: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, number)
