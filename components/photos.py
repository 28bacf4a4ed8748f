"""Measures each photo: size, brightness, colours. ExampleGen writes the measurements as a table for the report."""

import io
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from trainer import images

DIGEST = "digest"  # bytes[1], a feature of the predictions; see `digests`
_PARALLEL = os.cpu_count() or 1
_GRID = 64  # all pixels as float32 would take as long as decoding, and 4 GB for the largest photos
_LUMA = (0.2989, 0.587, 0.114)  # as tf.image.rgb_to_grayscale


class Measured(NamedTuple):
    """The measurements of one photo: a row of the table. The fields are those of `Photos`, in the same order."""

    label: int
    size: Sequence[int]
    brightness: float
    contrast: float
    colours: Sequence[float]
    digest: Sequence[int]
    name: bytes


class Photos(NamedTuple):
    """The measurements of the n photos of a split, in the order of the records.

    Attributes:
      labels: int64 [n], the class indices.
      sizes: int32 [n, 2], height and width in pixels.
      brightness: float32 [n], the mean of the luma, 0 to 1.
      contrast: float32 [n], the standard deviation of the luma.
      colours: float32 [n, 3], the means of red, green and blue, 0 to 1.
      digests: uint8 [n, 8], see `digests`.
      names: bytes [n], the photo's file if the record names it, otherwise the record file and the record's number.
    """

    labels: np.ndarray
    sizes: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    colours: np.ndarray
    digests: np.ndarray
    names: np.ndarray

    @property
    def record_numbers(self) -> np.ndarray:
        """int64 [n], the position of each photo among the records of the split."""
        return np.arange(len(self.labels))

    @property
    def records(self) -> int:
        """The number of photos."""
        return len(self.labels)


_EMPTY = Photos(
    labels=np.zeros([0], np.int64),
    sizes=np.zeros([0, 2], np.int32),
    brightness=np.zeros([0], np.float32),
    contrast=np.zeros([0], np.float32),
    colours=np.zeros([0, 3], np.float32),
    digests=np.zeros([0, 8], np.uint8),
    names=np.zeros([0], "S1"),
)


def splits(artifact: str) -> list[str]:
    """Returns the names of the splits in an artifact's folder, 'train' first."""
    names = [name.rstrip("/").removeprefix("Split-") for name in tf.io.gfile.listdir(artifact)]
    return sorted(names, key=lambda name: (name != "train", name))


def serialized_examples(examples: str, split: str) -> tf.data.Dataset:
    """Returns the serialized examples of a split, in the order of the table."""
    return tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(f"{examples}/Split-{split}/*")), "GZIP")


def chosen_examples(examples: str, split: str, record_numbers: Sequence[int]) -> tf.data.Dataset:
    """Returns the (record number, serialized example) of some records of a split, in the order of the table."""
    selected = tf.constant(sorted(set(record_numbers)), tf.int64)
    numbered = serialized_examples(examples, split).enumerate()
    return numbered.filter(lambda number, _: tf.reduce_any(number == selected)).take(len(selected))


def digests(serialized: Sequence[bytes] | tf.Tensor) -> tf.Tensor:
    """Returns uint8 [n, 8], the 64-bit FarmHash of each record. It joins photos with predictions."""
    return tf.fingerprint(serialized)


def measure(encoded: Sequence[bytes]) -> list[tuple[Any, Any, Any, Any]]:
    """Returns (size, brightness, contrast, colours) of each photo; see `Photos`. Decodes the photos in parallel.

    Brightness, contrast and colours are those of _GRID × _GRID pixels at equal distances.

    Raises:
      tf.errors.InvalidArgumentError: when a photo cannot be decoded, or has more than `images.MAX_PIXELS`.
    """
    columns = _measure(tf.constant(encoded))
    return list(zip(*(column.numpy().tolist() for column in columns), strict=True))


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
def _measure(encoded: tf.Tensor) -> tuple[tf.Tensor, ...]:
    spec = (tf.TensorSpec([2], tf.int32), tf.TensorSpec([_GRID, _GRID, 3], tf.uint8))
    sizes, grids = tf.map_fn(_size_and_grid, encoded, fn_output_signature=spec, parallel_iterations=_PARALLEL)
    pixels = tf.cast(tf.reshape(grids, [-1, _GRID * _GRID, 3]), tf.float32) / 255
    luma = tf.linalg.matvec(pixels, tf.constant(_LUMA))
    return sizes, tf.reduce_mean(luma, 1), tf.math.reduce_std(luma, 1), tf.reduce_mean(pixels, 1)


@tf.autograph.experimental.do_not_convert
def _size_and_grid(encoded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    pixels = images.decode(images.checked(encoded))
    grid = tf.raw_ops.ResizeNearestNeighbor(images=pixels[tf.newaxis], size=[_GRID, _GRID], half_pixel_centers=True)
    return tf.shape(pixels)[:2], grid[0]


def write(rows: Sequence[Measured], table: str, split: str, shard: str) -> None:
    """Writes the measurements of a shard of the examples into the folder of a PhotoTable.

    Args:
      rows: the measurements, in the order of the records.
      table: the folder of the table.
      split: the name of the split.
      shard: the number of the shard and the number of shards, as in the names of the examples' files.
    """
    content = io.BytesIO()
    np.savez(content, **(_columns(rows) if rows else _EMPTY)._asdict())
    tf.io.gfile.makedirs(f"{table}/Split-{split}")
    with tf.io.gfile.GFile(f"{table}/Split-{split}/photos-{shard}.npz", "wb") as file:
        file.write(content.getvalue())


def _columns(rows: Sequence[Measured]) -> Photos:
    dtypes = [empty.dtype if empty.dtype.kind != "S" else "S" for empty in _EMPTY]
    return Photos(*(np.array(column, dtype) for column, dtype in zip(zip(*rows, strict=True), dtypes, strict=True)))


def read(table: str, split: str) -> Photos:
    """Returns the measurements of a split, given the folder of a PhotoTable."""
    parts = [_EMPTY]
    for path in sorted(tf.io.gfile.glob(f"{table}/Split-{split}/photos-*.npz")):
        with tf.io.gfile.GFile(path, "rb") as file:
            arrays = np.load(io.BytesIO(file.read()), allow_pickle=False)
            parts.append(Photos(*(arrays[name] for name in Photos._fields)))
    return Photos(*map(np.concatenate, zip(*parts, strict=True)))
