"""What each photo of a split is like: computed by the data gate's pass over the pixels, and stored for the report."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer import images, tfrecords
from trainer.features import CLASS, IMAGE

SPEC = {
    IMAGE: tf.io.FixedLenFeature([], tf.string, default_value=""),
    CLASS: tf.io.FixedLenFeature([], tf.int64, default_value=-1),
}
DIGEST = "digest"  # bytes[1] in predictions; see `digests`
_FILE = "photos.npz"


class Photos(NamedTuple):
    """The photos of a split, in the order of the records, without those that cannot be decoded.

    Attributes:
      records: the number of records, including those that cannot be decoded.
      places: int64 [n], the records' numbers.
      labels: int64 [n], their classes.
      sizes: int32 [n, 2], height and width in pixels.
      brightness: float32 [n], the mean luma, 0 to 1.
      contrast: float32 [n], the luma's standard deviation.
      colours: float32 [n, 3], the means of red, green and blue, 0 to 1.
      digests: uint8 [n, 8], see `digests`.
    """

    records: int
    places: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    colours: np.ndarray
    digests: np.ndarray


def splits(artifact: str) -> list[str]:
    """Returns the names of an artifact's splits, 'train' first."""
    names = [name.rstrip("/").removeprefix("Split-") for name in tf.io.gfile.listdir(artifact)]
    return sorted(names, key=lambda name: (name != "train", name))


def of_split(examples: str, split: str) -> tf.data.Dataset:
    """Returns the serialised examples of a split, in a fixed order."""
    return tfrecords.read(sorted(tf.io.gfile.glob(f"{examples}/Split-{split}/*")))


def digests(serialized: Sequence[bytes] | tf.Tensor) -> tf.Tensor:
    """Returns uint8 [n, 8], FarmHash's 64-bit fingerprint of each record; it joins photos and predictions."""
    return tf.fingerprint(serialized)


def measure(examples: str, split: str) -> Photos:
    """Decodes each photo of a split once."""
    numbered = of_split(examples, split).enumerate()
    measured = numbered.map(_measure, num_parallel_calls=tf.data.AUTOTUNE)
    try:
        batches = list(measured.batch(256).as_numpy_iterator())
        count = sum(len(batch[0]) for batch in batches)
    except tf.errors.InvalidArgumentError:  # a photo cannot be decoded
        batches = list(measured.ignore_errors().batch(256).as_numpy_iterator())
        count = int(numbered.reduce(0, lambda total, _: total + 1))
    if not batches:
        none, counted = np.zeros(0, np.float32), np.zeros(0, np.int64)
        shape = np.zeros([0, 2], np.int32)
        return Photos(count, counted, counted, shape, none, none, np.zeros([0, 3]), np.zeros([0, 8], np.uint8))
    return Photos(count, *(np.concatenate(column) for column in zip(*batches, strict=True)))


@tf.autograph.experimental.do_not_convert
def _measure(place: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
    example = tf.io.parse_single_example(serialized, SPEC)
    decoded = images.decode(images.checked(example[IMAGE]))
    pixels = tf.cast(decoded, tf.float32) / 255
    luma = tf.image.rgb_to_grayscale(pixels)
    return (
        place,
        example[CLASS],
        tf.shape(decoded)[:2],
        tf.reduce_mean(luma),
        tf.math.reduce_std(luma),
        tf.reduce_mean(pixels, [0, 1]),
        digests([serialized])[0],
    )


def write(photos: Photos, table: str, split: str) -> None:
    """Writes the photos of a split into a PhotoTable's folder."""
    content = io.BytesIO()
    np.savez(content, **photos._asdict())
    tf.io.gfile.makedirs(f"{table}/Split-{split}")
    with tf.io.gfile.GFile(f"{table}/Split-{split}/{_FILE}", "wb") as file:
        file.write(content.getvalue())


def read(table: str, split: str) -> Photos:
    """Returns what `write` wrote."""
    with tf.io.gfile.GFile(f"{table}/Split-{split}/{_FILE}", "rb") as file:
        arrays = np.load(io.BytesIO(file.read()), allow_pickle=False)
    return Photos(**{name: arrays[name] for name in Photos._fields})._replace(records=int(arrays["records"]))
