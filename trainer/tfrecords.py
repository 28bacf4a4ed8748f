"""Reads TFRecord files with tf.data."""

from collections.abc import Sequence

import tensorflow as tf

_FILES_AT_ONCE = 8  # fixed, because the record order depends on it


def read(files: Sequence[str], names: tf.data.Dataset | None = None) -> tf.data.Dataset:
    """Returns the serialised examples of record files, scalar strings. The files are either all gzipped, or none is.

    The dataset does not use tf.data's autotuning. At the end of an iterator, TF 2.16 waits for the tuner's thread,
    which sleeps for 10 ms, then 20 ms, up to 60 s: steps of 3 s took 5.1 s. Each core has one parallel call, at most
    16.

    Args:
      files: the paths.
      names: the same paths in the order to read them; None for the order of `files`.
    """
    compression = "GZIP" if files and files[0].endswith(".gz") else ""
    records = tf.data.TFRecordDataset(names or files, compression, num_parallel_reads=_FILES_AT_ONCE)
    return records.with_options(reading_options())


def reading_options() -> tf.data.Options:
    """Returns the options of `read`, for datasets that call `read` inside `flat_map`.

    With several workers, each reads its part of every batch (policy DATA). TensorFlow's default divides the files: one
    worker would get the eval split's only file. It would also divide the epoch numbers of `training`.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options
