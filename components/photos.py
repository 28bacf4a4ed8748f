"""Measures each photo of a split: size, brightness, colours. The data gate measures; the report reads the results."""

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
DIGEST = "digest"  # bytes[1], a feature of the predictions; see `digests`
_FILE = "photos.npz"


class Photos(NamedTuple):
    """The measurements of the n photos of a split that can be decoded, in the order of the records.

    Attributes:
      records: the number of records, including photos that cannot be decoded.
      record_numbers: int64 [n], the position of each photo among the records.
      labels: int64 [n], the class indices.
      sizes: int32 [n, 2], height and width in pixels.
      brightness: float32 [n], the mean of the luma, 0 to 1.
      contrast: float32 [n], the standard deviation of the luma.
      colours: float32 [n, 3], the means of red, green and blue, 0 to 1.
      digests: uint8 [n, 8], see `digests`.
    """

    records: int
    record_numbers: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    colours: np.ndarray
    digests: np.ndarray


def splits(artifact: str) -> list[str]:
    """Returns the names of the splits in an artifact's folder, 'train' first."""
    names = [name.rstrip("/").removeprefix("Split-") for name in tf.io.gfile.listdir(artifact)]
    return sorted(names, key=lambda name: (name != "train", name))


def serialized_examples(examples: str, split: str) -> tf.data.Dataset:
    """Returns the serialized examples of a split in a fixed order."""
    return tfrecords.read(sorted(tf.io.gfile.glob(f"{examples}/Split-{split}/*")))


def digests(serialized: Sequence[bytes] | tf.Tensor) -> tf.Tensor:
    """Returns uint8 [n, 8], the 64-bit FarmHash of each record. It joins photos with predictions."""
    return tf.fingerprint(serialized)


def measure(examples: str, split: str) -> Photos:
    """Returns the measurements of a split, given the folder of the examples. Decodes each photo once."""
    numbered = serialized_examples(examples, split).enumerate()
    measured = numbered.map(_measure, num_parallel_calls=tf.data.AUTOTUNE)
    try:
        batches = list(measured.batch(256).as_numpy_iterator())
        count = sum(len(batch[0]) for batch in batches)
    except tf.errors.InvalidArgumentError:  # a photo cannot be decoded
        batches = list(measured.ignore_errors().batch(256).as_numpy_iterator())
        count = int(numbered.reduce(0, lambda total, _: total + 1))
    empty = [np.zeros([0, *spec.shape], spec.dtype.as_numpy_dtype) for spec in measured.element_spec]
    return Photos(count, *(np.concatenate(column) for column in zip(empty, *batches, strict=True)))


@tf.autograph.experimental.do_not_convert
def _measure(record_number: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, ...]:
    example = tf.io.parse_single_example(serialized, SPEC)
    decoded = images.decode(images.checked(example[IMAGE]))
    pixels = tf.cast(decoded, tf.float32) / 255
    luma = tf.image.rgb_to_grayscale(pixels)
    return (
        record_number,
        example[CLASS],
        tf.shape(decoded)[:2],
        tf.reduce_mean(luma),
        tf.math.reduce_std(luma),
        tf.reduce_mean(pixels, [0, 1]),
        digests([serialized])[0],
    )


def write(photos: Photos, table: str, split: str) -> None:
    """Writes the measurements of a split into the folder of a PhotoTable."""
    content = io.BytesIO()
    np.savez(content, **photos._asdict())
    tf.io.gfile.makedirs(f"{table}/Split-{split}")
    with tf.io.gfile.GFile(f"{table}/Split-{split}/{_FILE}", "wb") as file:
        file.write(content.getvalue())


def read(table: str, split: str) -> Photos:
    """Returns the measurements of a split, given the folder of a PhotoTable."""
    with tf.io.gfile.GFile(f"{table}/Split-{split}/{_FILE}", "rb") as file:
        arrays = np.load(io.BytesIO(file.read()), allow_pickle=False)
    return Photos(**{name: arrays[name] for name in Photos._fields})._replace(records=int(arrays["records"]))
