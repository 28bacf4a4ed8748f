"""The candidate's predictions on the eval split, written while TFMA computes the metrics from them.

The report needs each photo's probabilities, and TFMA writes metrics only. A branch of TFMA's own Beam pipeline writes
them into the evaluation's folder, so that no photo is predicted twice.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma

from components.photos import DIGEST, digests
from trainer.features import CLASS, PREDICTIONS, PROBABILITIES

_CANDIDATE = "candidate"  # TFMA's name for the model where there is a baseline

_folder: ContextVar[str] = ContextVar("folder")  # TFX gives custom extractors no path


@contextmanager
def written_to(evaluation: str) -> Iterator[None]:
    """Gives the extractors made meanwhile the folder of the evaluation."""
    token = _folder.set(evaluation)
    try:
        yield
    finally:
        _folder.reset(token)


def writer() -> Any:
    """Returns the extractor that writes predictions and returns the extracts unchanged."""
    return tfma.extractors.Extractor(stage_name="WritePredictions", ptransform=_Write(_folder.get()))


class _Write(beam.PTransform):
    def __init__(self, folder: str):
        super().__init__()
        self._folder = folder

    def expand(self, extracts: beam.pvalue.PCollection) -> beam.pvalue.PCollection:
        to = f"{self._folder}/{PREDICTIONS}"
        _ = extracts | beam.FlatMap(_examples) | beam.io.WriteToTFRecord(to, file_name_suffix=".gz")
        return extracts


def _examples(batch: dict[str, Any]) -> Iterator[bytes]:
    """Yields a serialised tf.Example for each record: its digest, class and probabilities."""
    predicted, true = (_of_candidate(batch[key]) for key in (tfma.PREDICTIONS_KEY, tfma.LABELS_KEY))
    rows = zip(digests(batch[tfma.INPUT_KEY]).numpy(), np.ravel(true), predicted[PROBABILITIES], strict=True)
    for digest, label, probabilities in rows:
        feature = {
            DIGEST: tf.train.Feature(bytes_list=tf.train.BytesList(value=[digest.tobytes()])),
            CLASS: tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)])),
            PROBABILITIES: tf.train.Feature(float_list=tf.train.FloatList(value=probabilities)),
        }
        yield tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _of_candidate(values: Any) -> Any:
    return values[_CANDIDATE] if isinstance(values, dict) and _CANDIDATE in values else values
