"""tf.data from ExampleGen's records to batches, through the transform graph."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_transform as tft

from trainer import records
from trainer.augmentation import Augment
from trainer.features import CLASS, IMAGE, PIXELS

_SHUFFLE_RECORDS = 2048  # encoded photos held in memory and mixed: some 32 MB at 192 px
_SHUFFLE_BYTES = 128 * 2**20  # of larger photos so many bytes are mixed; they are held twice


class Size(NamedTuple):
    """How much a split holds: its records, and their bytes uncompressed."""

    records: int
    bytes: int

    @property
    def window(self) -> int:
        """How many records are mixed at a time: the data decide this and no machine, since the order depends on it."""
        return max(1, min(_SHUFFLE_RECORDS, _SHUFFLE_BYTES * self.records // max(1, self.bytes)))


def training(
    patterns: Sequence[str],
    transform: tft.TFTransformOutput,
    classes: int,
    batch_size: int,
    seed: int = 0,
    first_epoch: int = 0,
    augment: Augment | None = None,
    window: int = _SHUFFLE_RECORDS,
) -> tf.data.Dataset:
    """Returns batches without end, epoch after epoch; seed and epoch alone decide their order and random changes.

    So a run that goes on reads what an unbroken one does, however many iterators either makes: `Dataset.shuffle` gives
    each a further order. The last, smaller batch of an epoch is dropped: shapes are static, as a TPU needs them.

    Args:
      patterns: of the record files.
      transform: the transform graph.
      classes: the number of classes.
      batch_size: the global batch.
      seed: of the order.
      first_epoch: how many epochs to leave out.
      augment: applied to each batch.
      window: how many records are mixed at a time, `Size.window` of the split.

    Returns:
      A dataset of (float32 [batch, height, width, channels], one-hot float32 [batch, classes]).
    """
    files = _files(patterns)
    to_model_input = _to_model_input(transform, classes, batch_size)

    def of_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        drawn = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0]), epoch)
        order, changes = tf.unstack(tf.random.experimental.stateless_split(drawn, 2))
        names = tf.data.Dataset.from_tensor_slices(_mixed(0, files, order))
        windows = records.read(files, names).batch(window).enumerate(1)
        mixed = windows.map(lambda number, part: _mixed(number, part, order))
        batches = mixed.rebatch(batch_size, drop_remainder=True).enumerate()
        return batches.map(lambda step, batch: (tf.random.experimental.stateless_fold_in(changes, step), batch))

    def augmented(drawn: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels = to_model_input(serialized)
        return augment(drawn, pixels, labels) if augment else (pixels, labels)

    drawn = tf.data.Dataset.counter(first_epoch).flat_map(of_epoch).with_options(records.untuned())
    return drawn.map(augmented, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def evaluation(
    patterns: Sequence[str],
    transform: tft.TFTransformOutput,
    classes: int,
    batch_size: int,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Returns all examples once, in a fixed order, in batches as `training` gives them.

    The last may be smaller, or is dropped.
    """
    batches = records.read(_files(patterns)).batch(batch_size, drop_remainder)
    to_model_input = _to_model_input(transform, classes, batch_size if drop_remainder else None)
    return batches.map(to_model_input, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def measure(patterns: Sequence[str]) -> Size:
    """Returns the number of records and their bytes, by reading them."""

    def add(total: tf.Tensor, record: tf.Tensor) -> tf.Tensor:
        return total + tf.stack([1, tf.cast(tf.strings.length(record), tf.int64)])

    return Size(*map(int, records.read(_files(patterns)).reduce(tf.zeros([2], tf.int64), add)))


def _mixed(number: int | tf.Tensor, values: Sequence[str] | tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(values, tf.random.experimental.stateless_fold_in(seed, number))


def _to_model_input(
    transform: tft.TFTransformOutput, classes: int, batch_size: int | None
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    wanted = {key: spec for key, spec in transform.raw_feature_spec().items() if key in (IMAGE, CLASS)}
    layer = transform.transform_features_layer()

    def to_model_input(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = layer(tf.io.parse_example(serialized, wanted))
        features[PIXELS].set_shape([batch_size, None, None, None])  # the transform graph does not say how many
        return features[PIXELS], tf.one_hot(features[CLASS], classes)

    return to_model_input


def _files(patterns: Sequence[str]) -> list[str]:
    return sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
