"""Compares the answers of files for devices with those of the SavedModel, on all photos of the judged split."""

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tfx.utils import io_utils

from components.edge import convert, runtimes
from components.photos import DIGEST, digests
from components.verdict import Check
from trainer import input_pipeline
from trainer.features import PREDICTIONS, PROBABILITIES
from trainer.intervals import Pairs, difference, proportion

_BATCH = 32
ACCURACY, LOSS = "accuracy", "accuracy against the SavedModel"


def count(
    pipeline: beam.Pipeline, examples: Sequence[str], graph: str, evaluation: str, files: Sequence[str], to: str
) -> None:
    """Writes how often each file and the SavedModel are right, as JSON, for `read_counts`.

    Args:
      pipeline: to which the work is added: a piece for each file of examples.
      examples: the files of the judged split.
      graph: the folder of the transform graph.
      evaluation: the folder of the Evaluator's predictions.
      files: the files for devices.
      to: the path that is written.
    """
    float_classes = (
        pipeline
        | "ReadPredictions" >> beam.io.ReadFromTFRecord(f"{evaluation}/{PREDICTIONS}-*")
        | "ClassOfSavedModel" >> beam.Map(_predicted)
    )
    edge_classes = pipeline | beam.Create(list(examples)) | beam.Reshuffle() | beam.ParDo(_Predict(graph, list(files)))
    _ = (
        {"float": float_classes, "edge": edge_classes}
        | beam.CoGroupByKey()
        | "Compare" >> beam.FlatMap(_compared)
        | beam.combiners.Count.PerElement()
        | beam.combiners.ToList()
        | beam.Map(lambda rows: io_utils.write_string_file(to, json.dumps(rows)))
    )


def _predicted(record: bytes) -> tuple[bytes, int]:
    """Returns the digest of a photo's record, and the class that the SavedModel predicts."""
    feature = tf.train.Example.FromString(record).features.feature
    return feature[DIGEST].bytes_list.value[0], int(np.argmax(feature[PROBABILITIES].float_list.value))


class _Predict(beam.DoFn):
    """Yields the digest of each record of a file, with its class and the class that each file for devices predicts."""

    def __init__(self, graph: str, files: Sequence[str]):
        self._graph, self._files = graph, files

    def setup(self) -> None:
        """Loads the transform graph and the files, once in each worker."""
        self._transform = tft.TFTransformOutput(self._graph)
        self._normalisation = convert.normalisation(self._transform)
        with tempfile.TemporaryDirectory() as folder:  # the runtimes read no buckets, and keep a file that is deleted
            for file in self._files:
                io_utils.copy_file(file, f"{folder}/{PurePosixPath(file).name}")
            self._loaded = [runtimes.load(f"{folder}/{PurePosixPath(file).name}") for file in self._files]

    def process(self, element: str) -> Iterator[tuple[bytes, tuple[int, list[int]]]]:
        """Runs the files on the photos."""
        for records, pixels, labels in input_pipeline.with_records(element, self._transform, _BATCH):
            photos = self._normalisation.to_uint8(pixels.numpy())
            classes = np.stack([each.predict(photos).argmax(axis=1) for each in self._loaded], axis=1)
            keys = (digest.tobytes() for digest in digests(records).numpy())
            for key, label, row in zip(keys, np.ravel(labels).tolist(), classes.tolist(), strict=True):
                yield key, (label, row)


def _compared(element: tuple[bytes, Mapping[str, Any]]) -> Iterator[tuple[int, int, bool, bool]]:
    """Yields for each photo and file: the file's number, the class, and whether the file and the SavedModel are right.

    Records that are equal have one key and one answer.
    """
    _, found = element
    (expected, *_), answers = list(found["float"]), found["edge"]
    for label, classes in answers:
        for number, predicted in enumerate(classes):
            yield number, label, predicted == label, expected == label


Counts = Counter[tuple[int, bool, bool]]  # of photos, by class, whether the file and the SavedModel are right


def read_counts(path: str, files: int) -> list[Counts]:
    """Returns what `count` wrote, for each of the files."""
    result = [Counts() for _ in range(files)]
    for (number, label, edge, model), photos in json.loads(io_utils.read_string_file(path)):
        result[number][label, edge, model] += photos
    return result


def checks(counts: Counts, classes: Sequence[str], gate: Sequence[Check], max_loss: float) -> list[Check]:
    """Returns the checks of a file: the Evaluator's floors, and the loss of accuracy against the SavedModel.

    The loss is compared without its interval: unlike a training, a conversion has another choice at once.

    Args:
      counts: of the file.
      classes: the class names.
      gate: the Evaluator's checks.
      max_loss: the largest loss, a fraction of the photos.
    """
    floors = {each.what: each.floor for each in gate}
    found = [_share(ACCURACY, counts, floors[ACCURACY])]
    for label, name in enumerate(classes):
        what = f"recall of {name}"
        of_class = Counts({key: photos for key, photos in counts.items() if key[0] == label})
        found.append(_share(what, of_class, floors[what]))
    pairs = Pairs(
        *(
            sum(photos for (_, *right), photos in counts.items() if right == [edge, model])
            for edge, model in ((True, True), (True, False), (False, True), (False, False))
        )
    )
    value, n = (pairs.only_first - pairs.only_second) / sum(pairs), sum(pairs)
    return [*found, Check(LOSS, value, -max_loss, value >= -max_loss, *difference(pairs), n)]


def _share(what: str, counts: Counts, floor: float) -> Check:
    right = sum(photos for (_, edge, _), photos in counts.items() if edge)
    found = proportion(right, counts.total())
    value = found["value"]
    passed = value is not None and np.float32(value) >= np.float32(floor)  # TFMA's numbers are float32
    return Check(what, value, floor, bool(passed), found["low"], found["high"], found["n"])
