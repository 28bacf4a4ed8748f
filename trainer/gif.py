"""Walks over the frames of a GIF with TensorFlow operations, without decoding them.

After a palette, a GIF consists of extensions and frames, each with a chain of blocks (sections 18 to 26 of the GIF89a
specification).
"""

from typing import NamedTuple

import tensorflow as tf

_MARGIN = 26  # bytes that are read after a position
_SCREEN = 13  # bytes before the global palette
_EXTENSION, _FRAME, _CONTROL = 0x21, 0x2C, 0xF9


class Frames(NamedTuple):
    """What a walk over the frames found, scalars.

    Attributes:
      pixels: int64, the sum of width × height of the frames.
      first: int32, the position of the first frame; 0 if there is none.
      control: int32, the position of the last graphic control extension before it; 0 if there is none.
    """

    pixels: tf.Tensor
    first: tf.Tensor
    control: tf.Tensor


def frames(gif: tf.Tensor, most_pixels: int) -> Frames:
    """Walks over the frames, up to the frame with which the sum exceeds `most_pixels`."""
    data = tf.io.decode_raw(tf.strings.join([gif, "\0" * _MARGIN]), tf.uint8)
    end = tf.size(data) - _MARGIN
    offsets = tf.range(10)

    def step(at: tf.Tensor, in_blocks: tf.Tensor, found: Frames) -> tuple[tf.Tensor, tf.Tensor, Frames]:
        head = tf.unstack(tf.cast(tf.gather(data, tf.minimum(at + offsets, end)), tf.int32))
        is_frame = ~in_blocks & tf.equal(head[0], _FRAME)
        is_extension = ~in_blocks & tf.equal(head[0], _EXTENSION)
        is_control = is_extension & tf.equal(head[1], _CONTROL)
        area = tf.cast(head[5] + 256 * head[6], tf.int64) * tf.cast(head[7] + 256 * head[8], tf.int64)
        first_block = tf.where(is_frame, at + 11 + _palette_size(head[9]), at + 2)
        after = tf.where(in_blocks, at + 1 + head[0], tf.where(is_frame | is_extension, first_block, end))
        is_first = tf.equal(found.first, 0)
        found = Frames(
            found.pixels + tf.where(is_frame, area, tf.constant(0, tf.int64)),
            tf.where(is_frame & is_first, at, found.first),
            tf.where(is_control & is_first, at, found.control),
        )
        return after, ~in_blocks | tf.not_equal(head[0], 0), found

    start = _SCREEN + _palette_size(tf.cast(data[tf.minimum(10, end)], tf.int32))
    nothing = Frames(tf.constant(0, tf.int64), tf.constant(0), tf.constant(0))
    return tf.while_loop(
        lambda at, _, found: (at < end) & (found.pixels <= most_pixels), step, (start, tf.constant(False), nothing)
    )[2]


def _palette_size(flags: tf.Tensor) -> tf.Tensor:
    return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)
