"""Small copies of photos for the page."""

import base64
from collections.abc import Sequence

import tensorflow as tf

from components import photos
from trainer import images
from trainer.features import IMAGE


def thumbnails(examples: str, split: str, record_numbers: Sequence[int], side: int) -> dict[int, str]:
    """Returns JPEG data URIs by record number: the centre square of each photo, scaled to `side` pixels.

    The result does not contain photos that cannot be decoded.
    """
    if not record_numbers:
        return {}
    selected = tf.constant(sorted(record_numbers), tf.int64)

    @tf.autograph.experimental.do_not_convert
    def scale(number: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        encoded = tf.io.parse_single_example(serialized, {IMAGE: tf.io.FixedLenFeature([], tf.string)})[IMAGE]
        pixels = images.decode(images.checked(encoded))
        return number, tf.io.encode_jpeg(images.resize(pixels, side, "fill-crop"), quality=80)

    numbered = photos.serialized_examples(examples, split).enumerate()
    chosen = numbered.filter(lambda number, _: tf.reduce_any(number == selected)).take(len(record_numbers))
    scaled = chosen.map(scale).ignore_errors().as_numpy_iterator()
    return {int(number): "data:image/jpeg;base64," + base64.b64encode(jpeg).decode() for number, jpeg in scaled}
