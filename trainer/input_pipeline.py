"""tf.data from ExampleGen's records to batches, through the transform graph."""

from collections.abc import Callable, Sequence
from pathlib import Path

import tensorflow as tf
import tensorflow_transform as tft

from trainer.features import CLASS, IMAGE, PIXELS

_SHUFFLE_RECORDS = 2048  # encoded photos held in memory: some 32 MB at 192 px

Augment = Callable[[tf.Tensor], tf.Tensor]


def raw_records(patterns: Sequence[str], shuffle_seed: int | None = None) -> tf.data.Dataset:
    """Returns serialised tf.Examples (scalar strings) of the files matched, in a fixed order or shuffled."""
    files = sorted(file for pattern in patterns for file in tf.io.gfile.glob(pattern))
    if shuffle_seed is None:
        return tf.data.TFRecordDataset(files, _compression(files), num_parallel_reads=tf.data.AUTOTUNE)
    names = tf.data.Dataset.from_tensor_slices(files).shuffle(len(files), seed=shuffle_seed)
    records = tf.data.TFRecordDataset(names, _compression(files), num_parallel_reads=tf.data.AUTOTUNE)
    return records.shuffle(_SHUFFLE_RECORDS, seed=shuffle_seed)


def batches(
    records: tf.data.Dataset,
    transform: tft.TFTransformOutput,
    batch_size: int,
    training: bool,
    augment: Augment | None = None,
) -> tf.data.Dataset:
    """Returns (pixels, class) batches.

    Args:
      records: serialised tf.Examples.
      transform: the transform graph.
      batch_size: the global batch.
      training: repeats without end and drops the last, smaller batch, so that shapes are static (a TPU needs that).
      augment: applied to a batch of pixels.

    Returns:
      A dataset of (float32 [batch, height, width, channels], int64 [batch]).
    """
    wanted = {key: spec for key, spec in transform.raw_feature_spec().items() if key in (IMAGE, CLASS)}
    layer = transform.transform_features_layer()

    def to_model_input(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features = layer(tf.io.parse_example(serialized, wanted))
        pixels = features[PIXELS]
        if training:  # the transform graph does not say how many it gives
            pixels.set_shape([batch_size, None, None, None])
        return (augment(pixels) if augment else pixels), features[CLASS]

    if training:
        records = records.repeat()
    batched = records.batch(batch_size, drop_remainder=training)
    return batched.map(to_model_input, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def count(records: tf.data.Dataset) -> int:
    """Returns the number of records, by reading them."""
    return int(records.reduce(0, lambda total, _: total + 1))


def augmentation(names: Sequence[str], seed: int) -> Augment | None:
    """Returns the random changes for training: 'flip' (left-right), 'saturation' (×0 to ×2, pixels in [-1, 1])."""
    if not names:
        return None

    def change(pixels: tf.Tensor) -> tf.Tensor:
        if "flip" in names:
            pixels = tf.image.random_flip_left_right(pixels, seed=seed)
        return saturate(pixels, seed) if "saturation" in names else pixels

    return change


def saturate(pixels: tf.Tensor, seed: int) -> tf.Tensor:
    """Multiplies each photo's HSV saturation by a factor drawn from [0, 2], as `tf.image.random_saturation` does.

    Args:
      pixels: float32 [batch, height, width, 3] in [-1, 1].
      seed: of the factors.
    """
    hue, saturation, value = tf.unstack(tf.image.rgb_to_hsv((pixels + 1.0) / 2.0), axis=-1)
    factors = tf.random.uniform([tf.shape(pixels)[0], 1, 1], 0.0, 2.0, seed=seed)
    saturation = tf.clip_by_value(saturation * factors, 0.0, 1.0)
    return tf.image.hsv_to_rgb(tf.stack([hue, saturation, value], axis=-1)) * 2.0 - 1.0


def _compression(files: Sequence[str]) -> str:
    return "GZIP" if files and Path(files[0]).suffix == ".gz" else ""
