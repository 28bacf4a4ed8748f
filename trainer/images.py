"""Encoded photos to pixels of one size, as TensorFlow operations: the same in training and in serving."""

import tensorflow as tf


def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one JPEG, PNG, GIF (first frame) or BMP of 1, 3 or 4 channels.

    Args:
      encoded: scalar string.

    Returns:
      uint8 [height, width, 3]. Grey is repeated over the channels; alpha is dropped.
    """
    is_bmp = tf.equal(tf.strings.substr(encoded, 0, 2), b"BM")
    pixels = tf.cond(
        is_bmp,
        lambda: _bmp(encoded),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(pixels, [None, None, 3])


def _bmp(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP as it is: its decoder cannot change the number of channels."""
    pixels = tf.io.decode_bmp(encoded)
    return tf.cond(tf.equal(tf.shape(pixels)[-1], 1), lambda: tf.tile(pixels, [1, 1, 3]), lambda: pixels[..., :3])


def fit(pixels: tf.Tensor, size: int, how: str) -> tf.Tensor:
    """Resizes to size × size, bilinear and antialiased; a photo of that size is left as it is.

    Args:
      pixels: uint8 [height, width, 3].
      size: the side, in pixels.
      how: 'fill-crop' keeps the proportions and crops the longer side about its middle; 'plain' stretches.

    Returns:
      uint8 [size, size, 3].
    """
    shape = tf.shape(pixels)

    def resized() -> tf.Tensor:
        part = _middle_square(pixels) if how == "fill-crop" else pixels
        return tf.saturate_cast(tf.round(tf.image.resize(part, [size, size], antialias=True)), tf.uint8)

    same = tf.logical_and(tf.equal(shape[0], size), tf.equal(shape[1], size))
    result = tf.cond(same, lambda: pixels, resized)
    return tf.ensure_shape(result, [size, size, 3])


def _middle_square(pixels: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(pixels)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]


def to_range(pixels: tf.Tensor) -> tf.Tensor:
    """Maps uint8 [0, 255] to float32 [-1, 1].

    Dequantize does in one pass over memory what a cast, a division and a subtraction do in three.
    """
    return tf.quantization.dequantize(tf.bitcast(pixels, tf.quint8), -1.0, 1.0)
