"""Compares kept answers with training photos by TFDV's skew check."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.photos import Photos
from ingest.kept import Kept
from trainer.features import CLASS

MOST_CLASS, MOST_MEASURED = 0.15, 0.07  # docs/decisions/data-review.md has the false alarms
_LEAST = 150  # the smallest harmonic size n·m / (n + m) of n answers and m training photos that is judged
_COLOURS = ("red", "green", "blue")
MEASURED = ("brightness", "contrast", *_COLOURS)


class Distance(NamedTuple):
    """The distance of a feature between training and serving.

    Attributes:
      feature: `class`, or one of MEASURED.
      value: of the classes the L-infinity norm, of the others the Jensen-Shannon divergence, both 0 to 1.
      most: the largest value that is no skew.
    """

    feature: str
    value: float
    most: float

    @property
    def is_skew(self) -> bool:
        """Whether the value is larger than the largest one that is no skew."""
        return self.value > self.most


class Comparison(NamedTuple):
    """TFDV's statistics and anomalies, and the distances, of which the largest relative to its limit is the first."""

    training: statistics_pb2.DatasetFeatureStatisticsList
    serving: statistics_pb2.DatasetFeatureStatisticsList
    anomalies: anomalies_pb2.Anomalies
    distances: list[Distance]


def of_photos(photos: Photos, classes: Sequence[str]) -> pd.DataFrame:
    """Returns the features of training photos, a row for each."""
    columns = {CLASS: np.array(classes, object)[photos.labels]}
    columns |= {"brightness": photos.brightness, "contrast": photos.contrast}
    return pd.DataFrame(columns | dict(zip(_COLOURS, photos.colours.T, strict=True)))


def of_answers(answers: Sequence[Kept]) -> pd.DataFrame:
    """Returns the features of kept answers, a row for each; the class is the predicted one."""
    rows = [(each.label.decode(errors="replace"), each.brightness, each.contrast, *each.colours) for each in answers]
    frame = pd.DataFrame(rows, columns=[CLASS, *MEASURED])
    return frame.astype(dict.fromkeys(MEASURED, np.float32))


def enough(photos: int) -> int | None:
    """Returns the number of answers that can be compared with training photos; None if the photos are too few.

    >>> enough(2500), enough(300), enough(150)
    (160, 300, None)
    """
    return -(-_LEAST * photos // (photos - _LEAST)) if photos > _LEAST else None


def compare(training: pd.DataFrame, serving: pd.DataFrame) -> Comparison:
    """Returns the comparison of two tables with the columns of `of_photos`."""
    first, second = map(tfdv.generate_statistics_from_dataframe, (training, serving))
    anomalies = tfdv.validate_statistics(first, _schema(), serving_statistics=second)
    distances = [
        Distance(info.path.step[0], measured.value, measured.threshold)
        for info in anomalies.drift_skew_info
        for measured in info.skew_measurements
    ]
    return Comparison(first, second, anomalies, sorted(distances, key=lambda each: -each.value / each.most))


def _schema() -> schema_pb2.Schema:
    schema = schema_pb2.Schema()
    feature = schema.feature.add(name=CLASS, type=schema_pb2.BYTES)
    feature.skew_comparator.infinity_norm.threshold = MOST_CLASS
    for name in MEASURED:
        feature = schema.feature.add(name=name, type=schema_pb2.FLOAT)
        feature.skew_comparator.jensen_shannon_divergence.threshold = MOST_MEASURED
    return schema
