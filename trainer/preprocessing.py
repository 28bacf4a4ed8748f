"""Transform's preprocessing_fn: decode, resize, normalise, in one graph that training and serving share."""

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from trainer import images
from trainer.features import CLASS, IMAGE, PIXELS
from trainer.section import Pixels

_MIN_DEVIATION = 1e-3  # a constant channel is centred, not divided by zero


def preprocessing_fn(inputs: dict[str, tf.Tensor], custom_config: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Maps raw features to the model's input.

    Args:
      inputs: `image` string [batch, 1] and `class` int64 [batch, 1]; other features are ignored.
      custom_config: a `Pixels` as JSON.

    Returns:
      `pixels` float32 [batch, size, size, channels], in [-1, 1], or with mean 0 and deviation 1 per channel over
      the training split; `class` int64 [batch].
    """
    settings = Pixels.model_validate(custom_config)
    size, channels = settings.image_size, settings.channels

    def to_pixels(encoded: tf.Tensor) -> tf.Tensor:
        pixels = images.resize(images.decode(encoded), size, settings.resize)
        return tf.image.rgb_to_grayscale(pixels) if channels == 1 else pixels

    encoded = tf.reshape(inputs[IMAGE], [-1])
    pixels = tf.map_fn(to_pixels, encoded, fn_output_signature=tf.TensorSpec([size, size, channels], tf.uint8))
    pixels = images.to_range(pixels)
    if settings.normalize == "mean-deviation":
        pixels = _standardize(pixels)
    return {PIXELS: pixels, CLASS: tf.reshape(inputs[CLASS], [-1])}


def _standardize(pixels: tf.Tensor) -> tf.Tensor:
    """Gives each channel mean 0 and deviation 1 over all pixels of the training split.

    All photos have the same size here, so the mean of the photos' means is the mean over all pixels.
    """
    mean = tft.mean(tf.reduce_mean(pixels, axis=[1, 2]), reduce_instance_dims=False)
    square = tft.mean(tf.reduce_mean(tf.square(pixels), axis=[1, 2]), reduce_instance_dims=False)
    deviation = tf.sqrt(tf.maximum(square - tf.square(mean), 0.0))
    return (pixels - mean) / tf.maximum(deviation, _MIN_DEVIATION)
