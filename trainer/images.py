"""Converts encoded photos to pixels of one size, by the same TensorFlow operations in training and in serving.

The functions use TensorFlow's control flow, so AutoGraph need not convert them. Its search took 1.5 s in each process.
"""

import tensorflow as tf
from tensorflow.autograph.experimental import do_not_convert

from trainer import formats, orientation

_START = 8_192  # bytes that are searched for the orientation and, in a PNG, for transparent colours
_IS_BMP = r"BM\C*"  # \C is any byte
_HAS_ALPHA = r"\CPNG\r\n\C\n\C{17}[\x04\x06]\C*|\CPNG\r\n\C\n\C*?tRNS\C*"
_IS_SPECIAL = rf"{_IS_BMP}|{_HAS_ALPHA}|{orientation.TURNED}\C*"
_PALETTE = 54  # the position of a BMP's palette
_OPAQUE, _WHITE = 255, 255


@do_not_convert
def checked(encoded: tf.Tensor) -> tf.Tensor:
    """Returns a photo unchanged, after checking its header; see `formats.problem`.

    ExampleGen and the served model use it. The transform graph does not: with a check, the Trainer read a quarter
    fewer photos a second.

    Args:
      encoded: scalar string.

    Raises:
      tf.errors.InvalidArgumentError: when the photo has too many pixels, or a format that cannot be decoded.
    """
    reason = formats.problem(encoded)
    with tf.control_dependencies([tf.debugging.Assert(tf.equal(reason, ""), [reason])]):
        return tf.identity(encoded)


@do_not_convert
def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one JPEG, PNG, GIF (first frame) or BMP, upright and on white, to the same pixels as `ingest`.

    Args:
      encoded: scalar string; see `checked`.

    Returns:
      uint8 [height, width, 3]. Grey is repeated over the channels. Transparent pixels are composited on white, except
      those of a GIF, which `checked` refuses.

    Raises:
      tf.errors.InvalidArgumentError: when the photo cannot be decoded.
    """
    # No Assert: in a graph with stateful operations, a new iterator costs 120 ms more.
    start = tf.strings.substr(encoded, 0, _START)
    pixels = tf.cond(
        tf.strings.regex_full_match(start, _IS_SPECIAL),
        lambda: orientation.upright(start, _special(start, encoded)),
        lambda: _opaque(encoded),
    )
    return tf.ensure_shape(pixels, [None, None, 3])


def _opaque(encoded: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_image(encoded, channels=3, expand_animations=False)


def _special(start: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a photo for which `_opaque` may not be enough, as it is stored."""
    pixels = tf.cond(
        tf.strings.regex_full_match(start, _HAS_ALPHA),
        lambda: _on_white(tf.io.decode_png(encoded, channels=4)),
        lambda: tf.cond(tf.strings.regex_full_match(start, _IS_BMP), lambda: _bmp(encoded), lambda: _opaque(encoded)),
    )
    return tf.ensure_shape(pixels, [None, None, 3])


def _bmp(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP. TensorFlow returns the indices of a palette as grey, and ignores compression and colour masks."""
    pixels = tf.io.decode_bmp(tf.where(formats.is_usable_bmp(encoded), encoded, ""))  # an empty photo is an error
    stored = tf.io.decode_raw(tf.strings.substr(encoded, _PALETTE, 4 * 256), tf.uint8, fixed_length=4 * 256)
    colours = tf.gather(tf.reshape(stored, [256, 4])[:, 2::-1], tf.cast(pixels[..., 0], tf.int32))
    return tf.where(tf.equal(tf.shape(pixels)[2], 1), colours, pixels[..., :3])


def _on_white(pixels: tf.Tensor) -> tf.Tensor:
    """Composites uint8 [height, width, 4] on white; uint16 is enough for the sums."""
    wide = tf.cast(pixels, tf.uint16)
    alpha = wide[..., 3:]
    return tf.cast((wide[..., :3] * alpha + _WHITE * (_OPAQUE - alpha) + 127) // 255, tf.uint8)


@do_not_convert
def resize(pixels: tf.Tensor, size: int, mode: str) -> tf.Tensor:
    """Resizes to size × size, bilinear and antialiased; a photo of that size is unchanged.

    Args:
      pixels: uint8 [height, width, 3].
      size: the side, in pixels.
      mode: 'fill-crop' keeps the proportions and crops the longer side at both ends; 'pad' keeps them and adds white
        at both ends of the shorter side; 'plain' stretches.

    Returns:
      uint8 [size, size, 3].
    """
    shape = tf.shape(pixels)

    def resized() -> tf.Tensor:
        if mode == "pad":
            return _padded(pixels, size)
        return _scaled(_middle_square(pixels) if mode == "fill-crop" else pixels, [size, size])

    same = tf.logical_and(tf.equal(shape[0], size), tf.equal(shape[1], size))
    result = tf.cond(same, lambda: pixels, resized)
    return tf.ensure_shape(result, [size, size, 3])


def _scaled(pixels: tf.Tensor, size: tf.Tensor | list[int]) -> tf.Tensor:
    return tf.saturate_cast(tf.round(tf.image.resize(pixels, size, antialias=True)), tf.uint8)


def _padded(pixels: tf.Tensor, size: int) -> tf.Tensor:
    shape = tf.shape(pixels)[:2]
    longer = tf.reduce_max(shape)
    scaled = tf.maximum((2 * shape * size + longer) // (2 * longer), 1)  # rounded
    before = (size - scaled) // 2
    margins = tf.stack([before, size - scaled - before], axis=1)
    return tf.pad(_scaled(pixels, scaled), tf.concat([margins, [[0, 0]]], axis=0), constant_values=_WHITE)


def _middle_square(pixels: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(pixels)
    side = tf.minimum(shape[0], shape[1])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    return pixels[top : top + side, left : left + side]


def to_range(pixels: tf.Tensor) -> tf.Tensor:
    """Maps uint8 [0, 255] to float32 [-1, 1].

    Dequantize needs one pass over memory; a cast, a division and a subtraction need three.
    """
    return tf.quantization.dequantize(tf.bitcast(pixels, tf.quint8), -1.0, 1.0)
