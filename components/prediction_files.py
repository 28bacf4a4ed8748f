"""Reads the predictions that `components.predictions` writes into the folder of an evaluation."""

import numpy as np
import tensorflow as tf

from components.photos import DIGEST, Photos
from trainer import tfrecords
from trainer.features import FAMILIAR, PREDICTIONS, PROBABILITIES


def read(evaluation: str) -> dict[bytes, np.ndarray] | None:
    """Returns the probabilities, float32 [classes], by the digest of the record.

    Returns None if the folder has no predictions, because an older version of this project wrote it.
    """
    return _values(evaluation, PROBABILITIES) or None


def read_familiar(evaluation: str) -> dict[bytes, np.ndarray] | None:
    """Returns `familiar`, float32 [1], by the digest of the record; None for a model without it."""
    values = _values(evaluation, FAMILIAR)
    return values if values and all(map(len, values.values())) else None


def _values(evaluation: str, feature: str) -> dict[bytes, np.ndarray]:
    spec = {
        DIGEST: tf.io.FixedLenFeature([], tf.string),
        feature: tf.io.FixedLenSequenceFeature([], tf.float32, allow_missing=True),
    }
    files = sorted(tf.io.gfile.glob(f"{evaluation}/{PREDICTIONS}-*"))
    parsed = tfrecords.read(files).map(lambda record: tf.io.parse_single_example(record, spec)) if files else []
    return {each[DIGEST].numpy(): each[feature].numpy() for each in parsed}


def of_photos(by_digest: dict[bytes, np.ndarray], photos: Photos) -> np.ndarray:
    """Returns the values of the photos, for example probabilities, float32 [n, classes], in their order."""
    return np.stack([by_digest[digest.tobytes()] for digest in photos.digests])
