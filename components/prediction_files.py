"""Reads the predictions that `components.predictions` writes into the folder of an evaluation."""

import numpy as np
import tensorflow as tf

from components.photos import DIGEST, Photos
from trainer import tfrecords
from trainer.features import PREDICTIONS, PROBABILITIES


def read(evaluation: str) -> dict[bytes, np.ndarray] | None:
    """Returns the probabilities, float32 [classes], by the digest of the record.

    Returns None if the folder has no predictions, because an older version of this project wrote it.
    """
    spec = {
        DIGEST: tf.io.FixedLenFeature([], tf.string),
        PROBABILITIES: tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
    }
    files = sorted(tf.io.gfile.glob(f"{evaluation}/{PREDICTIONS}-*"))
    parsed = tfrecords.read(files).map(lambda record: tf.io.parse_single_example(record, spec)) if files else []
    return {each[DIGEST].numpy(): each[PROBABILITIES].numpy() for each in parsed} or None


def of_photos(by_digest: dict[bytes, np.ndarray], photos: Photos) -> np.ndarray:
    """Returns the probabilities of the photos, float32 [n, classes], in their order."""
    return np.stack([by_digest[digest.tobytes()] for digest in photos.digests])
