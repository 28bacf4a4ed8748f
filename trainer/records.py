"""The records of an ExampleGen's split, or of the files that it came from, read by tf.data."""

from collections.abc import Sequence

import tensorflow as tf

_FILES_AT_ONCE = 8  # a number, not a machine's cores: the order of the records hangs on it


def read(files: Sequence[str], names: tf.data.Dataset | None = None) -> tf.data.Dataset:
    """Returns the serialised examples of record files, scalar strings; the files may be gzipped, all or none.

    What is made of the dataset goes without tf.data's tuner: at the end of an iterator TF 2.16 waits until the tuner's
    thread wakes, whose sleeps double from 10 ms to 60 s, so that steps of 3 s took 5.1 s in all. Calls that it would
    have tuned are one for each core, 16 at most.

    Args:
      files: the paths.
      names: the same paths in the order to read them in; without it, theirs.
    """
    compression = "GZIP" if files and files[0].endswith(".gz") else ""
    records = tf.data.TFRecordDataset(names or files, compression, num_parallel_reads=_FILES_AT_ONCE)
    return records.with_options(untuned())


def untuned() -> tf.data.Options:
    """Returns options without the tuner, for a dataset that reads records in the function of its `flat_map`.

    Of several workers, each takes its part of every batch (DATA). TensorFlow's default shares out the files: the eval
    split's one file would go to one worker, and `training`'s source, the numbers of the epochs, would be split
    (issue 11).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    return options
