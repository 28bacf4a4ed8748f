"""The photos of a split: what each is like, and small copies of some."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer import images, records
from trainer.features import CLASS, IMAGE

_SPEC = {IMAGE: tf.io.FixedLenFeature([], tf.string), CLASS: tf.io.FixedLenFeature([], tf.int64)}


class Photos(NamedTuple):
    """What the photos of a split are like, in the order of the records; those that cannot be decoded are left out.

    Attributes:
      records: how many there are, with those that cannot be decoded.
      places: int64 [n], their records.
      labels: int64 [n], their classes.
      sizes: int32 [n, 2], height and width in pixels.
      brightness: float32 [n], the mean luma, 0 to 1.
      contrast: float32 [n], the luma's standard deviation.
      colours: float32 [n, 3], the means of red, green and blue, 0 to 1.
    """

    records: int
    places: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    colours: np.ndarray


def splits(examples: str) -> list[str]:
    """Returns the names of the splits, 'train' first."""
    names = [name.rstrip("/").removeprefix("Split-") for name in tf.io.gfile.listdir(examples)]
    return sorted(names, key=lambda name: (name != "train", name))


def of_split(examples: str, split: str) -> tf.data.Dataset:
    """Returns the serialised examples of a split, in a fixed order."""
    return records.read(sorted(tf.io.gfile.glob(f"{examples}/Split-{split}/*")))


def look(examples: str, split: str) -> Photos:
    """Decodes each photo of a split once."""
    numbered = of_split(examples, split).enumerate()
    seen = numbered.map(_look, num_parallel_calls=tf.data.AUTOTUNE)
    try:
        batches = list(seen.batch(256).as_numpy_iterator())
        count = sum(len(batch[0]) for batch in batches)
    except tf.errors.InvalidArgumentError:  # one of them cannot be decoded
        batches = list(seen.ignore_errors().batch(256).as_numpy_iterator())
        count = int(numbered.reduce(0, lambda total, _: total + 1))
    if not batches:
        none = np.zeros(0, np.float32)
        return Photos(count, none.astype(int), none.astype(int), np.zeros([0, 2], int), none, none, np.zeros([0, 3]))
    return Photos(count, *(np.concatenate(column) for column in zip(*batches, strict=True)))


def _look(place: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
    example = tf.io.parse_single_example(serialized, _SPEC)
    decoded = images.decode(images.checked(example[IMAGE]))
    pixels = tf.cast(decoded, tf.float32) / 255
    luma = tf.image.rgb_to_grayscale(pixels)
    colours = tf.reduce_mean(pixels, [0, 1])
    return place, example[CLASS], tf.shape(decoded)[:2], tf.reduce_mean(luma), tf.math.reduce_std(luma), colours


def thumbnails(examples: str, split: str, places: Sequence[int], side: int) -> dict[int, str]:
    """Returns photos as JPEG data URIs by their place in the split: the middle square, `side` pixels wide.

    What cannot be decoded is left out.
    """
    if not places:
        return {}
    wanted = tf.constant(sorted(places), tf.int64)

    def small(place: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        encoded = tf.io.parse_single_example(serialized, {IMAGE: _SPEC[IMAGE]})[IMAGE]
        pixels = images.decode(images.checked(encoded))
        return place, tf.io.encode_jpeg(images.fit(pixels, side, "fill-crop"), quality=80)

    numbered = of_split(examples, split).enumerate().filter(lambda place, _: tf.reduce_any(place == wanted))
    encoded = numbered.take(len(places)).map(small).ignore_errors().as_numpy_iterator()
    return {int(place): "data:image/jpeg;base64," + base64.b64encode(jpeg).decode() for place, jpeg in encoded}
