"""tf.data from ExampleGen's records to batches, through the transform graph."""

from collections.abc import Callable, Sequence

import tensorflow as tf
import tensorflow_transform as tft

from trainer import records
from trainer.augmentation import Augment
from trainer.features import CLASS, IMAGE, PIXELS

_SHUFFLE_RECORDS = 2048  # encoded photos held in memory: some 32 MB at 192 px


def training(
    patterns: Sequence[str],
    transform: tft.TFTransformOutput,
    classes: int,
    batch_size: int,
    seed: int = 0,
    first_step: int = 0,
    augment: Augment | None = None,
) -> tf.data.Dataset:
    """Returns batches without end, epoch after epoch, in an order that the seed alone decides.

    The last, smaller batch of an epoch is dropped, so that shapes are static (a TPU needs that).

    Args:
      patterns: of the record files.
      transform: the transform graph.
      classes: the number of classes.
      batch_size: the global batch.
      seed: of the order.
      first_step: how many batches to leave out, so that a run that goes on sees what an unbroken one does.
      augment: applied to each batch.

    Returns:
      A dataset of (float32 [batch, height, width, channels], one-hot float32 [batch, classes]).
    """
    files = _files(patterns)
    names = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files), seed=seed)
    shuffled = records.read(files, names).shuffle(_SHUFFLE_RECORDS, seed=seed)
    batches = shuffled.batch(batch_size, drop_remainder=True).repeat().skip(first_step)
    numbered = tf.data.Dataset.zip(tf.data.Dataset.counter(first_step), batches)
    to_model_input = _to_model_input(transform, classes)

    def augmented(step: tf.Tensor, serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels = to_model_input(serialized)
        pixels.set_shape([batch_size, None, None, None])  # the transform graph does not say how many it gives
        return augment(step, pixels, labels) if augment else (pixels, labels)

    return numbered.map(augmented, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


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
    return batches.map(_to_model_input(transform, classes), num_parallel_calls=tf.data.AUTOTUNE).prefetch(
        tf.data.AUTOTUNE
    )


def count(patterns: Sequence[str]) -> int:
    """Returns the number of records, by reading them."""
    return int(records.read(_files(patterns)).reduce(0, lambda total, _: total + 1))


def _to_model_input(
    transform: tft.TFTransformOutput, classes: int
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    wanted = {key: spec for key, spec in transform.raw_feature_spec().items() if key in (IMAGE, CLASS)}
    layer = transform.transform_features_layer()

    def to_model_input(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = layer(tf.io.parse_example(serialized, wanted))
        return features[PIXELS], tf.one_hot(features[CLASS], classes)

    return to_model_input


def _files(patterns: Sequence[str]) -> list[str]:
    return sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
