"""Random changes to training batches: photos and their one-hot classes."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

Augment = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

_MIXUP_ALPHA = 0.2  # what the paper takes for ImageNet


def augmentation(names: Sequence[str], seed: int) -> Augment | None:
    """Returns the changes by name, or None for none.

    'flip': left and right, one photo in two. 'saturation': ×0 to ×2 (pixels in [-1, 1]). 'mixup': each photo is mixed
    with another of its batch, and their classes likewise (Zhang et al., 2018, arXiv:1710.09412).
    """
    if not names:
        return None
    mixup = keras.layers.MixUp(_MIXUP_ALPHA, seed=seed) if "mixup" in names else None

    def change(pixels: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if "flip" in names:
            pixels = tf.image.random_flip_left_right(pixels, seed=seed)
        if "saturation" in names:
            pixels = saturate(pixels, seed)
        if mixup:
            mixed = mixup({"images": pixels, "labels": classes})
            pixels, classes = mixed["images"], mixed["labels"]
        return pixels, classes

    return change


def saturate(pixels: tf.Tensor, seed: int) -> tf.Tensor:
    """Multiplies each photo's HSV saturation by a factor drawn from [0, 2], as `tf.image.random_saturation` does.

    Args:
      pixels: float32 [batch, height, width, 3] in [-1, 1].
      seed: of the factors.
    """
    hue, saturation, value = tf.unstack(tf.image.rgb_to_hsv((pixels + 1.0) / 2.0), axis=-1)
    factors = tf.random.uniform([tf.shape(pixels)[0], 1, 1], 0.0, 2.0, seed=seed)
    saturation = tf.clip_by_value(saturation * factors, 0.0, 1.0)
    return tf.image.hsv_to_rgb(tf.stack([hue, saturation, value], axis=-1)) * 2.0 - 1.0
