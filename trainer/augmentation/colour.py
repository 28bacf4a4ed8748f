"""Changes brightness and colours of photos with pixels in [-1, 1]. `table.Operation` describes the arguments."""

import tensorflow as tf

from trainer.augmentation import draws


def brightness(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, delta: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Adds a number in [-delta, delta] of the range to each photo, as `tf.image.random_brightness` does."""
    return clip(pixels + 2 * draws.uniform(seed, pixels, -delta, delta, [1, 1, 1])), classes


def contrast(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, strength: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Multiplies each photo's distance from the mean of each channel, as `tf.image.random_contrast` does."""
    factors = draws.uniform(seed, pixels, 1 - strength, 1 + strength, [1, 1, 1])
    return blend(tf.reduce_mean(pixels, axis=[1, 2], keepdims=True), pixels, factors), classes


def saturation(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, strength: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Multiplies each photo's HSV saturation, as `tf.image.random_saturation` does."""
    factors = draws.uniform(seed, pixels, 1 - strength, 1 + strength, [1, 1, 1])
    red, green, blue = tf.split(pixels, 3, axis=-1)
    value = tf.maximum(tf.maximum(red, green), blue)
    chroma = value - tf.minimum(tf.minimum(red, green), blue)
    # Saturation is chroma / value, at most 1. If all channels move towards `value` by the same factor, hue and value do
    # not change.
    saturated = value - (value - pixels) * tf.minimum(factors, tf.math.divide_no_nan(value + 1.0, chroma))
    return tf.maximum(saturated, -1.0), classes  # rounding errors may be below -1


def hue(seed: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor, delta: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Turns each photo's hue by a share in [-delta, delta] of the colour circle, as `tf.image.random_hue` does.

    TensorFlow's kernel takes one share for all photos, so each photo is a call: half the CPU time of a conversion to
    HSV and back.
    """
    shares = draws.uniform(seed, pixels, -delta, delta)
    turned = tf.map_fn(
        lambda photo: tf.image.adjust_hue(photo[0], photo[1]),
        ((pixels + 1.0) / 2.0, shares),
        fn_output_signature=tf.TensorSpec(pixels.shape[1:], tf.float32),
    )
    return clip(tf.ensure_shape(turned, pixels.shape) * 2.0 - 1.0), classes


def blend(other: tf.Tensor, pixels: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Returns other + factor (pixels - other), clipped: `other` for the factor 0, the photos for 1."""
    return clip(other + factors * (pixels - other))


def clip(pixels: tf.Tensor) -> tf.Tensor:
    """Returns pixels, limited to [-1, 1]."""
    return tf.clip_by_value(pixels, -1.0, 1.0)
