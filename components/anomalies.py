"""Reads the anomalies that ExampleValidator writes. Imports no TFX, because `lineage report` must start quickly."""

from typing import NamedTuple

import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2

_EXTRA_FEATURE = anomalies_pb2.AnomalyInfo.SCHEMA_NEW_COLUMN


class Anomaly(NamedTuple):
    """A difference between the data and the schema; `feature` is '' if it concerns the whole split."""

    split: str
    feature: str
    what: str


def read_anomalies(folder: str, split: str) -> list[Anomaly]:
    """Returns the anomalies of a split, sorted by feature, given the folder of the `anomalies` artifact.

    A feature that the schema does not have is no anomaly, because no node reads it. A schema forbids a
    feature with `value_count { max: 0 }`.
    """
    with tf.io.gfile.GFile(f"{folder}/Split-{split}/SchemaDiff.pb", "rb") as file:
        proto = anomalies_pb2.Anomalies.FromString(file.read())
    found = [
        Anomaly(split, name, info.description)
        for name, info in sorted(proto.anomaly_info.items())
        if [reason.type for reason in info.reason] != [_EXTRA_FEATURE]
    ]
    if proto.HasField("dataset_anomaly_info"):
        found.append(Anomaly(split, "", proto.dataset_anomaly_info.description))
    return found
