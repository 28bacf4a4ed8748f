"""Writes the candidate's predictions on the judged split while TFMA computes metrics from the same predictions.

The report needs the probabilities of each photo, but TFMA writes only metrics. A branch of TFMA's Beam pipeline writes
the predictions into the folder of the evaluation, so that each photo is predicted once. With a baseline, it also counts
on how many photos each of the two models is right.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma

from components.photos import DIGEST, digests
from trainer.features import CLASS, FAMILIAR, PAIRS, PREDICTIONS, PROBABILITIES, STATUS
from trainer.intervals import Pairs

_CANDIDATE, _BASELINE = "candidate", "baseline"  # TFMA's names for the models when a baseline exists

_folder: ContextVar[str] = ContextVar("folder")  # TFX passes no path to custom extractors


@contextmanager
def written_to(evaluation: str) -> Iterator[None]:
    """Sets the folder for the extractors that `writer` creates inside the `with` block."""
    token = _folder.set(evaluation)
    try:
        yield
    finally:
        _folder.reset(token)


def writer() -> Any:
    """Returns an extractor that writes the predictions and passes the extracts on unchanged."""
    return tfma.extractors.Extractor(stage_name="WritePredictions", ptransform=_write(_folder.get()))


@beam.ptransform_fn
def _write(extracts: beam.pvalue.PCollection, folder: str) -> beam.pvalue.PCollection:
    path = f"{folder}/{PREDICTIONS}"
    _ = extracts | beam.FlatMap(_examples) | beam.io.WriteToTFRecord(path, file_name_suffix=".gz")
    counts = extracts | "Pairs" >> beam.FlatMap(_pairs) | beam.combiners.Count.PerElement()
    _ = counts | beam.Map(json.dumps) | beam.io.WriteToText(f"{folder}/{PAIRS}", shard_name_template="")
    return extracts


def _pairs(batch: dict[str, Any]) -> Iterator[tuple[bool, bool]]:
    """Yields for each record whether the candidate and the baseline are right; nothing without a baseline."""
    predictions = batch[tfma.PREDICTIONS_KEY]
    if _BASELINE not in predictions:
        return
    labels = np.ravel(_candidate_values(batch[tfma.LABELS_KEY]))
    right = [np.argmax(predictions[name][PROBABILITIES], axis=1) == labels for name in (_CANDIDATE, _BASELINE)]
    yield from zip(*(each.tolist() for each in right), strict=True)


def read_pairs(folder: str) -> Pairs | None:
    """Returns the counts of the candidate (first) and the baseline (second); None without a baseline."""
    with tf.io.gfile.GFile(f"{folder}/{PAIRS}") as file:
        counts = {tuple(models): count for models, count in map(json.loads, file)}
    order = ((True, True), (True, False), (False, True), (False, False))
    return Pairs(*(counts.get(each, 0) for each in order)) if counts else None


def _examples(batch: dict[str, Any]) -> Iterator[bytes]:
    """Yields a serialized tf.Example for each record: its digest, class, probabilities and `familiar`, if any.

    Raises:
      ValueError: when the candidate did not use a photo. Its probabilities are 0, and would count as a mistake.
    """
    predictions, labels = (_candidate_values(batch[key]) for key in (tfma.PREDICTIONS_KEY, tfma.LABELS_KEY))
    if unused := [text.decode() for text in np.ravel(predictions[STATUS]) if text]:
        raise ValueError(
            f"expected examples that the exported model can read, as ExampleGen could; received {len(unused)} in a "
            f"batch that it cannot, the first because: {unused[0]}. Run the same command again; if it fails again, the "
            "files of the examples have changed"
        )
    familiar = predictions.get(FAMILIAR)  # only of a probe
    values = np.zeros([len(np.ravel(labels)), 0]) if familiar is None else np.reshape(familiar, [-1, 1])
    columns = digests(batch[tfma.INPUT_KEY]).numpy(), np.ravel(labels), predictions[PROBABILITIES], values
    for digest, label, probabilities, value in zip(*columns, strict=True):
        feature = {
            DIGEST: tf.train.Feature(bytes_list=tf.train.BytesList(value=[digest.tobytes()])),
            CLASS: tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)])),
            PROBABILITIES: tf.train.Feature(float_list=tf.train.FloatList(value=probabilities)),
            FAMILIAR: tf.train.Feature(float_list=tf.train.FloatList(value=value)),
        }
        yield tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def _candidate_values(values: Any) -> Any:
    """Returns the candidate's values; TFMA groups the values by model only when a baseline exists."""
    return values[_CANDIDATE] if isinstance(values, dict) and _CANDIDATE in values else values
