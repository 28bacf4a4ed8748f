"""Reads ExampleGen's records into batches, through the transform graph, with tf.data."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from trainer import balance, tfrecords
from trainer.augmentation.batches import Augment
from trainer.features import CLASS, IMAGE, PIXELS

_SHUFFLE_RECORDS = 2048  # encoded photos in the shuffle window: about 32 MB at 192 px
_SHUFFLE_BYTES = 128 * 2**20  # the limit of the window for larger photos; memory holds two windows
_DECODE_BYTES = 16 * 2**20  # the limit of encoded photos in one parallel call: a batch of large photos is split


class Size(NamedTuple):
    """The size of a split: its records, their uncompressed bytes, and the records of each class if it was asked for."""

    records: int
    bytes: int
    per_class: tuple[int, ...] = ()

    @property
    def window(self) -> int:
        """The number of records in the shuffle window. It is the same on every machine, to give the same order."""
        return max(1, min(_SHUFFLE_RECORDS, _SHUFFLE_BYTES * self.records // max(1, self.bytes)))

    def decoded_at_once(self, batch_size: int) -> int:
        """Returns the number of records that a parallel call decodes. It limits memory and divides the batch size."""
        most = max(1, _DECODE_BYTES * self.records // max(1, self.bytes))
        return max(part for part in range(1, min(most, batch_size) + 1) if batch_size % part == 0)


SMALL = Size(records=_SHUFFLE_RECORDS, bytes=0)  # photos that need no limits


def training(
    patterns: Sequence[str],
    transform: tft.TFTransformOutput,
    classes: int,
    batch_size: int,
    seed: int = 0,
    first_epoch: int = 0,
    augment: Augment | None = None,
    size: Size = SMALL,
    balanced: str = "none",
) -> tf.data.Dataset:
    """Returns endless batches, epoch after epoch. Order and random changes depend only on seed and epoch.

    A resumed run therefore reads the same batches as an uninterrupted run. `Dataset.shuffle` would give each iterator a
    different order. The last, smaller batch of an epoch is dropped, because a TPU needs static shapes.

    Args:
      patterns: the record files.
      transform: the transform graph.
      classes: the number of classes.
      batch_size: the global batch size.
      seed: for the order and the random changes.
      first_epoch: the first epoch, counted from 0.
      augment: applied to each batch.
      size: the size of the split; if photos are large, fewer are shuffled and decoded at a time.
      balanced: `trainer.balance`; except for 'none', the size needs the records of each class.

    Returns:
      A dataset of (float32 [batch, height, width, channels], one-hot float32 [batch, classes]), with 'loss' followed by
      the weights of the photos, float32 [batch]: a photo with several classes has the mean of their weights.
    """
    files, part = files_of(patterns), size.decoded_at_once(batch_size)
    to_model_input = _to_model_input(transform, classes, part)

    def decoded(seeds: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return seeds, *to_model_input(serialized)

    epochs = tf.data.Dataset.counter(first_epoch).flat_map(
        lambda epoch: _epoch(files, seed, epoch, batch_size, size, balanced).rebatch(part)
    )
    parts = epochs.with_options(tfrecords.reading_options())
    batches = parts.map(decoded, num_parallel_calls=tf.data.AUTOTUNE).rebatch(batch_size, drop_remainder=True)
    weights = balance.loss_weights(size.per_class) if balanced == "loss" else None
    return batches.map(_augmented(augment, weights), num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _augmented(augment: Augment | None, weights: np.ndarray | None) -> Callable[..., tuple[tf.Tensor, ...]]:
    """Returns a function of a batch's seeds, pixels and labels, which adds the weights of the photos, if any."""

    def augmented(seeds: tf.Tensor, pixels: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, ...]:
        if augment:
            pixels, classes = augment(seeds[0], pixels, classes)
        return (pixels, classes) if weights is None else (pixels, classes, tf.linalg.matvec(classes, weights))

    return augmented


def _epoch(
    files: Sequence[str], seed: int, epoch: tf.Tensor, batch_size: int, size: Size, balanced: str
) -> tf.data.Dataset:
    """Returns an epoch's batches of serialised examples in random order, each with the seeds of its random changes."""
    epoch_seed = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0]), epoch)
    order, changes = tf.unstack(tf.random.experimental.stateless_split(epoch_seed, 2))
    names = tf.data.Dataset.from_tensor_slices(_shuffled(0, files, order))
    windows = tfrecords.read(files, names).batch(size.window).enumerate(1)
    if balanced == "sampling":
        shuffled = balance.sampled(windows, size.per_class, order)
    else:
        shuffled = windows.map(lambda number, part: _shuffled(number, part, order))
    batches = shuffled.rebatch(batch_size, drop_remainder=True).enumerate()
    return batches.map(lambda step, batch: (_seeds(changes, step, batch_size), batch))


def evaluation(
    patterns: Sequence[str],
    transform: tft.TFTransformOutput,
    classes: int,
    batch_size: int,
    drop_remainder: bool = False,
    size: Size = SMALL,
) -> tf.data.Dataset:
    """Returns all examples once, in a fixed order, in batches like those of `training`.

    The last, smaller batch is kept, or dropped with `drop_remainder`. With a measured size, the number of batches is
    known. Several replicas need it: at an end that Keras does not expect, a replica gets a batch of zeros, which counts
    in the metrics.
    """
    parts = tfrecords.read(files_of(patterns)).batch(size.decoded_at_once(batch_size))
    decoded = parts.map(_to_model_input(transform, classes, None), num_parallel_calls=tf.data.AUTOTUNE)
    batches = decoded.rebatch(batch_size, drop_remainder).prefetch(tf.data.AUTOTUNE)
    if size is SMALL:
        return batches
    count = size.records // batch_size if drop_remainder else math.ceil(size.records / batch_size)
    return batches.apply(tf.data.experimental.assert_cardinality(count))


def with_records(file: str, transform: tft.TFTransformOutput, batch_size: int) -> tf.data.Dataset:
    """Returns the examples of a file once, in order: batches of (serialised examples, pixels, class indices)."""
    specs, layer = _specs(transform), transform.transform_features_layer()

    def decoded(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        features = layer(tf.io.parse_example(serialized, specs))
        return serialized, features[PIXELS], features[CLASS]

    batches = tfrecords.read([file]).batch(batch_size)
    return batches.map(decoded, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def measure(patterns: Sequence[str], classes: int = 0) -> Size:
    """Reads all records and returns their number, their bytes, and the records of each of `classes`."""

    def add(total: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
        of_class = (
            tf.one_hot(balance.labels_of(record), classes, dtype=tf.int64) if classes else tf.zeros([0], tf.int64)
        )
        return total + tf.concat([[1, tf.cast(tf.strings.length(record), tf.int64)], of_class], axis=0)

    records, size, *per_class = map(
        int, tfrecords.read(files_of(patterns)).reduce(tf.zeros([2 + classes], tf.int64), add)
    )
    return Size(records, size, tuple(per_class))


def _shuffled(number: int | tf.Tensor, values: Sequence[str] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(values, tf.random.experimental.stateless_fold_in(seed, number))


def _seeds(changes: tf.Tensor, step: tf.Tensor, batch_size: int) -> tf.Tensor:
    """Returns the seed for a batch's random changes, repeated for each record: [batch_size, 2]."""
    return tf.tile(tf.random.experimental.stateless_fold_in(changes, step)[tf.newaxis], [batch_size, 1])


def _to_model_input(
    transform: tft.TFTransformOutput, classes: int, count: int | None
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    specs = _specs(transform)
    layer = transform.transform_features_layer()

    def to_model_input(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = layer(tf.io.parse_example(serialized, specs))
        features[PIXELS].set_shape([count, None, None, None])  # the transform graph does not set the batch size
        return features[PIXELS], tf.one_hot(features[CLASS], classes)

    return to_model_input


def _specs(transform: tft.TFTransformOutput) -> dict[str, tf.io.FixedLenFeature]:
    """Returns the raw features that the transform graph reads."""
    return {key: spec for key, spec in transform.raw_feature_spec().items() if key in (IMAGE, CLASS)}


def files_of(patterns: Sequence[str]) -> list[str]:
    """Returns the files that match the patterns, in the order in which they are read."""
    return sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
