"""Reads TFRecord files with tf.data: of ExampleGen's splits, or its input."""

from collections.abc import Sequence

import tensorflow as tf

_FILES_AT_ONCE = 8  # fixed, because the record order depends on it


def read(files: Sequence[str], names: tf.data.Dataset | None = None) -> tf.data.Dataset:
    """Returns the serialised examples of record files, scalar strings. Either all files are gzipped or none is.

    The dataset does not use tf.data's autotuning. At the end of an iterator, TF 2.16 waits for the tuner's thread,
    whose pauses double from 10 ms to 60 s: steps of 3 s took 5.1 s. There is one parallel call for each core, at most
    16.

    Args:
      files: the paths.
      names: the same paths in the order to read them; None for the order of `files`.
    """
    compression = "GZIP" if files and files[0].endswith(".gz") else ""
    records = tf.data.TFRecordDataset(names or files, compression, num_parallel_reads=_FILES_AT_ONCE)
    return records.with_options(untuned())


def untuned() -> tf.data.Options:
    """Returns options without autotuning, also for a dataset that calls `read` inside its `flat_map`.

    Each of several workers takes its part of every batch (policy DATA). TensorFlow's default splits by file: one worker
    would get the eval split's only file, and the epoch numbers that `training` starts from would be split (issue 11).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options
