"""Builds the tf.Example of a labelled photo."""

import os
from collections.abc import Sequence
from pathlib import Path

from ingest.logs import stderr_to_file

with stderr_to_file(Path(os.devnull)):  # TensorFlow 2.21 prints at import and ignores TF_CPP_MIN_LOG_LEVEL
    import tensorflow as tf


def make_example(image: bytes, label: int, classes: Sequence[str], size: tuple[int, int]) -> tf.train.Example:
    """Returns a tf.Example with the same features as the public flowers' TFRecords.

    Args:
      image: an encoded photo.
      label: the index of the photo's class in `classes`.
      classes: the class names.
      size: (height, width) in pixels.
    """
    one_hot = [float(index == label) for index in range(len(classes))]
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                "image": _bytes(image),
                "class": _ints([label]),
                "label": _bytes(classes[label].encode()),
                "size": _ints(size),
                "one_hot_class": tf.train.Feature(float_list=tf.train.FloatList(value=one_hot)),
            }
        )
    )


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _ints(values: Sequence[int]) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
