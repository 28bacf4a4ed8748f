"""Compares the training photos with the kept answers, by the statistics of TensorFlow Data Validation.

The thresholds follow from the numbers of photos: by chance alone, the two differ by less in 99 % of all comparisons.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import tensorflow_data_validation as tfdv
from scipy.stats import chi2, norm
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tensorflow_metadata.proto.v0.statistics_pb2 import DatasetFeatureStatisticsList

from components.photos import Photos
from ingest.kept import Kept

TRAIN, SERVING = "train", "serving"  # the splits of the statistics
CLASS = "class"
MEASURES = ("brightness", "contrast", "red", "green", "blue")
JUDGED = (CLASS, *MEASURES)
LEAST = 200  # photos on each side; with 50, chance exceeds the thresholds more often than _CHANCE
_BINS = 10
_CHANCE = 0.01  # the probability of a threshold exceeded by chance, for all features together
_SMALLEST = {CLASS: 0.05} | dict.fromkeys(MEASURES, 0.02)  # smaller differences are no skew, however many photos


class Difference(NamedTuple):
    """A feature's measured difference and its threshold: L-infinity for the class, otherwise in bits."""

    value: float
    threshold: float

    @property
    def is_skew(self) -> bool:
        """Whether the difference is above the threshold."""
        return self.value > self.threshold


class Comparison(NamedTuple):
    """The result.

    Attributes:
      statistics: by split.
      anomalies: of TensorFlow Data Validation.
      differences: by feature; empty if there are too few photos.
    """

    statistics: dict[str, DatasetFeatureStatisticsList]
    anomalies: anomalies_pb2.Anomalies
    differences: dict[str, Difference]

    @property
    def skew(self) -> list[str]:
        """The features with skew."""
        return [name for name, each in self.differences.items() if each.is_skew]


def frame_of_training(photos: Photos, classes: Sequence[str]) -> pd.DataFrame:
    """Returns a row for each photo of a split."""
    return _frame(np.array(classes)[photos.labels], photos.sizes, photos.brightness, photos.contrast, photos.colours)


def frame_of_answers(kept: Sequence[Kept]) -> pd.DataFrame:
    """Returns a row for each kept answer."""
    labels = [each.label.decode(errors="replace") for each in kept]
    sizes = np.array([each.size for each in kept], np.int64).reshape(-1, 2)
    colours = np.array([each.colours for each in kept], np.float64).reshape(-1, 3)
    frame = _frame(labels, sizes, [each.brightness for each in kept], [each.contrast for each in kept], colours)
    return frame.assign(probability=np.array([each.probability for each in kept], np.float64))


def _frame(
    labels: Sequence[str] | np.ndarray,
    sizes: np.ndarray,
    brightness: Sequence[float] | np.ndarray,
    contrast: Sequence[float] | np.ndarray,
    colours: np.ndarray,
) -> pd.DataFrame:
    columns = {CLASS: np.array(labels, object), "height": sizes[:, 0], "width": sizes[:, 1]}
    measured = (brightness, contrast, *colours.T)
    return pd.DataFrame(
        columns | {name: np.asarray(values, np.float64) for name, values in zip(MEASURES, measured, strict=True)}
    )


def compare(training: pd.DataFrame, answers: pd.DataFrame) -> Comparison:
    """Compares the answers with the training photos; with fewer than LEAST of either, nothing is judged."""
    edges = {name: _edges(training[name]) for name in MEASURES}
    frames = {TRAIN: training, SERVING: answers}
    statistics = {split: _statistics(split, frame, edges) for split, frame in frames.items() if len(frame)}
    if min(map(len, frames.values())) < LEAST:
        return Comparison(statistics, anomalies_pb2.Anomalies(), {})
    schema = _schema(training, answers, {name: len(bounds) - 1 for name, bounds in edges.items()})
    found = tfdv.validate_statistics(statistics[TRAIN], schema, serving_statistics=statistics[SERVING])
    measured = {each.path.step[0]: each.skew_measurements[0] for each in found.drift_skew_info}
    differences = {name: Difference(measured[name].value, measured[name].threshold) for name in JUDGED}
    return Comparison(statistics, found, differences)


def _edges(values: pd.Series) -> np.ndarray:
    """Returns the bounds of bins that contain equal shares of the training photos; all measures are 0 to 1."""
    inner = np.unique(np.quantile(values, np.arange(1, _BINS) / _BINS)) if len(values) else np.empty(0)
    return np.array([0.0, *inner[(inner > 0) & (inner < 1)], 1.0])


def _statistics(split: str, frame: pd.DataFrame, edges: dict[str, np.ndarray]) -> DatasetFeatureStatisticsList:
    """Returns the statistics of a split, in which the measures have the same bins as in the other split.

    TensorFlow Data Validation's bins would be of equal width between the extremes of each split, so that their
    divergence is not 0 for equal distributions.
    """
    found = tfdv.generate_statistics_from_dataframe(frame)
    found.datasets[0].name = split
    for feature in found.datasets[0].features:
        if (name := feature.path.step[0]) not in edges:
            continue
        counts, bounds = np.histogram(frame[name], edges[name])
        (histogram,) = (each for each in feature.num_stats.histograms if each.type == each.STANDARD)
        del histogram.buckets[:]
        for low, high, count in zip(bounds, bounds[1:], counts, strict=False):
            histogram.buckets.add(low_value=low, high_value=high, sample_count=count)
    return found


def _schema(training: pd.DataFrame, answers: pd.DataFrame, bins: dict[str, int]) -> schema_pb2.Schema:
    """Returns a schema with a comparator for each feature that is judged."""
    schema = schema_pb2.Schema()
    for name in answers:
        kind = (
            schema_pb2.BYTES if name == CLASS else schema_pb2.INT if name in ("height", "width") else schema_pb2.FLOAT
        )
        comparator = schema.feature.add(name=name, type=kind).skew_comparator
        if name == CLASS:
            comparator.infinity_norm.threshold = max(_SMALLEST[name], chance_of_shares(training[name], answers[name]))
        elif name in bins:
            chance = chance_of_divergence(bins[name], len(training), len(answers))
            comparator.jensen_shannon_divergence.threshold = max(_SMALLEST[name], chance)
    return schema


def chance_of_divergence(bins: int, n: int, m: int) -> float:
    """Returns the Jensen-Shannon divergence in bits that two samples of one distribution exceed with _CHANCE/6.

    8 ln 2 nm/(n + m) times the divergence has the distribution chi-square with bins - 1 degrees of freedom (Menéndez,
    Morales, Pardo and Salicrú 1995, "Asymptotic behaviour and statistical applications of divergence measures in
    multinomial populations", Statistical Papers 36).

    Args:
      bins: of the histograms.
      n: the number of photos in a sample.
      m: the number of photos in the other.
    """
    return float(chi2.isf(_CHANCE / len(JUDGED), max(1, bins - 1)) * (1 / n + 1 / m) / (8 * math.log(2)))


def chance_of_shares(first: pd.Series, second: pd.Series) -> float:
    """Returns the largest difference of a class's share that two samples of one distribution exceed with _CHANCE/6.

    It is the normal approximation for the difference of two proportions, with Bonferroni's correction for the classes.
    """
    shares = pd.concat([first, second]).value_counts(normalize=True).to_numpy()
    deviations = norm.isf(_CHANCE / len(JUDGED) / len(shares) / 2)
    return float((deviations * np.sqrt(shares * (1 - shares) * (1 / len(first) + 1 / len(second)))).max())
