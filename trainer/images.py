"""Converts encoded photos to pixels of one size, by the same TensorFlow operations in training and in serving.

The functions use TensorFlow's control flow, so AutoGraph need not convert them. Its search took 1.5 s in each process.
"""

import tensorflow as tf
from tensorflow.autograph.experimental import do_not_convert

MAX_PIXELS = 178_956_970  # Pillow's limit for a decompression bomb, as in `ingest`
_HEADER = 26  # bytes that contain the size in PNG, GIF and BMP


@do_not_convert
def checked(encoded: tf.Tensor) -> tf.Tensor:
    """Returns a photo unchanged, after checking the size in its header.

    The data gate and the served model use it. The transform graph does not: with the check, the Trainer read a quarter
    fewer photos a second (issue 11).

    Args:
      encoded: scalar string.

    Raises:
      tf.errors.InvalidArgumentError: when the photo has more than MAX_PIXELS.
    """
    count = _pixels_in_header(encoded)
    too_large = f"expected a photo of at most {MAX_PIXELS:,} pixels, but its header declares more; resize it"
    with tf.control_dependencies([tf.debugging.Assert(count <= MAX_PIXELS, [too_large, count])]):
        return tf.identity(encoded)


@do_not_convert
def decode(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes one JPEG, PNG, GIF (first frame) or BMP of 1, 3 or 4 channels.

    Args:
      encoded: scalar string; see `checked`.

    Returns:
      uint8 [height, width, 3]. Grey is repeated over the channels; alpha is dropped.

    Raises:
      tf.errors.InvalidArgumentError: when the photo cannot be decoded.
    """
    is_bmp = tf.equal(tf.strings.substr(encoded, 0, 2), b"BM")
    pixels = tf.cond(
        is_bmp,
        lambda: _bmp(encoded),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )
    return tf.ensure_shape(pixels, [None, None, 3])


def _pixels_in_header(encoded: tf.Tensor) -> tf.Tensor:
    """Returns width × height from the header, int64, without decoding; 0 for other content."""
    is_jpeg = tf.equal(tf.strings.substr(encoded, 0, 3), b"\xff\xd8\xff")
    return tf.cond(
        is_jpeg,
        lambda: tf.reduce_prod(tf.io.extract_jpeg_shape(encoded, tf.int64)[:2]),
        lambda: _pixels_in_other_header(encoded),
    )


@tf.function(
    input_signature=[tf.TensorSpec([], tf.string)], autograph=False, experimental_attributes={"_noinline": True}
)
def _pixels_in_other_header(encoded: tf.Tensor) -> tf.Tensor:
    """Returns the same for the other formats; a function that is traced once, and not run for JPEG."""
    padded = tf.strings.join([tf.strings.substr(encoded, 0, _HEADER), "\0" * _HEADER])
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(padded, 0, _HEADER), tf.uint8), tf.int64)

    def is_kind(magic: bytes) -> tf.Tensor:
        return tf.equal(tf.strings.substr(padded, 0, len(magic)), magic)

    def product(start: int, lowest: int) -> tf.Tensor:
        """Multiplies the two 4-byte numbers from `start`; `lowest` is the index of their least significant byte."""
        values = tf.constant([256 ** abs(index - lowest) for index in range(4)], tf.int64)
        sides = tf.reduce_sum(tf.reshape(header[start : start + 8], [2, 4]) * values, axis=1)
        return tf.reduce_prod(tf.where(sides < 2**31, sides, 2**32 - sides))  # the height of a top-down BMP is negative

    png_or_bmp = tf.where(is_kind(b"\x89PNG"), product(16, 3), tf.where(is_kind(b"BM"), product(18, 0), 0))
    return tf.cond(is_kind(b"GIF8"), lambda: _pixels_of_frames(encoded), lambda: png_or_bmp)


def _pixels_of_frames(gif: tf.Tensor) -> tf.Tensor:
    """Returns the sum of width × height of a GIF's frames, int64, up to the first frame that exceeds MAX_PIXELS.

    TensorFlow decodes all frames at their own sizes, even if only the first is used. After a palette, a GIF consists of
    extensions and frames, each with a chain of blocks (sections 18 to 26 of the GIF89a specification).
    """
    data = tf.io.decode_raw(tf.strings.join([gif, "\0" * _HEADER]), tf.uint8)
    end = tf.size(data) - _HEADER

    def byte(at: tf.Tensor | int) -> tf.Tensor:
        return tf.cast(data[tf.minimum(at, end)], tf.int32)

    def palette(flags: tf.Tensor) -> tf.Tensor:
        return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def continues(at: tf.Tensor, in_blocks: tf.Tensor, total: tf.Tensor) -> tf.Tensor:
        known = in_blocks | (byte(at) == 0x21) | (byte(at) == 0x2C)  # an extension or a frame begins
        return (at < end) & known & (total <= MAX_PIXELS)

    def step(at: tf.Tensor, in_blocks: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        is_frame = ~in_blocks & (byte(at) == 0x2C)
        width, height = (tf.cast(byte(at + offset) + 256 * byte(at + offset + 1), tf.int64) for offset in (5, 7))
        first_block = tf.where(is_frame, at + 11 + palette(byte(at + 9)), at + 2)
        after = tf.where(in_blocks, at + 1 + byte(at), first_block)
        return after, ~in_blocks | (byte(at) != 0), total + tf.where(is_frame, width * height, tf.constant(0, tf.int64))

    start = [13 + palette(byte(10)), tf.constant(False), tf.constant(0, tf.int64)]
    return tf.while_loop(continues, step, start)[2]


def _bmp(encoded: tf.Tensor) -> tf.Tensor:
    """Decodes a BMP, whose decoder cannot change the number of channels."""
    pixels = tf.io.decode_bmp(encoded)
    return tf.cond(tf.equal(tf.shape(pixels)[-1], 1), lambda: tf.tile(pixels, [1, 1, 3]), lambda: pixels[..., :3])


@do_not_convert
def resize(pixels: tf.Tensor, size: int, mode: str) -> tf.Tensor:
    """Resizes to size × size, bilinear and antialiased; a photo of that size is unchanged.

    Args:
      pixels: uint8 [height, width, 3].
      size: the side, in pixels.
      mode: 'fill-crop' keeps the proportions and crops the longer side at both ends; 'plain' stretches.

    Returns:
      uint8 [size, size, 3].
    """
    shape = tf.shape(pixels)

    def resized() -> tf.Tensor:
        part = _middle_square(pixels) if mode == "fill-crop" else pixels
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

    Dequantize needs one pass over memory; a cast, a division and a subtraction need three.
    """
    return tf.quantization.dequantize(tf.bitcast(pixels, tf.quint8), -1.0, 1.0)
