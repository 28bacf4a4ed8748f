"""Small copies of photos for the page."""

import base64
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from components import photos
from trainer import images
from trainer.features import IMAGE


def thumbnails(examples: str, split: str, record_numbers: Sequence[int], side: int) -> dict[int, str]:
    """Returns JPEG data URIs by record number: the centre square of each photo, scaled to `side` pixels.

    The result does not contain photos that cannot be decoded.
    """
    return {number: data_uri(each) for number, each in pictures(examples, split, record_numbers, side).items()}


def pictures(
    examples: str, split: str, record_numbers: Sequence[int], side: int, mode: str = "fill-crop"
) -> dict[int, np.ndarray]:
    """Returns photos by record number: uint8 [side, side, 3], resized as by `trainer.images.resize`.

    The result does not contain photos that cannot be decoded.
    """
    if not record_numbers:
        return {}

    @tf.autograph.experimental.do_not_convert
    def scale(number: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        encoded = tf.io.parse_single_example(serialized, {IMAGE: tf.io.FixedLenFeature([], tf.string)})[IMAGE]
        return number, images.resize(images.decode(images.checked(encoded)), side, mode)

    scaled = photos.chosen_examples(examples, split, record_numbers).map(scale).ignore_errors().as_numpy_iterator()
    return {int(number): pixels for number, pixels in scaled}


def data_uri(pixels: np.ndarray) -> str:
    """Returns a picture, uint8 [height, width, 3], as a data URI with a JPEG."""
    return "data:image/jpeg;base64," + base64.b64encode(tf.io.encode_jpeg(pixels, quality=80).numpy()).decode()
