"""The data gate: stops the run if the data has an anomaly, an empty split or a photo that cannot be decoded.

ExampleValidator only records anomalies, and TFDV looks only at the first bytes of an image. Without the gate, a photo
that cannot be decoded would stop the training. The gate decodes each photo once and writes its measurements.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tensorflow as tf
from tfx import v1 as tfx
from tfx.types import artifact_utils
from tfx.utils import io_utils, json_utils

from components import photos
from components.anomalies import Anomaly, read_anomalies
from components.artifacts import Artifacts, DataBlessing, PhotoTable
from components.stage import Stage, plural
from components.statistics_gen import example_count
from ingest.records import list_files
from trainer import images, tfrecords
from trainer.features import IMAGE

_MAX_NAMES = 3  # undecodable photos that a message lists
_UNDECODABLE = f"cannot be decoded as JPEG, PNG, GIF or BMP of at most {images.MAX_PIXELS:,} pixels"


class DataRefused(Exception):
    """Raised when the data does not match the schema; the message is a table of the problems."""

    def __init__(self, problems: list[Anomaly]):
        self.problems = problems
        rows = [
            ("split", "feature", "what is wrong"),
            *((each.split, each.feature or "—", each.what) for each in problems),
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        table = "\n".join(f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows)
        super().__init__(f"the data does not match its schema, {plural(len(problems), 'problem')}:\n{table}")


@tfx.dsl.components.component
def DataGate(  # noqa: N802 (TFX names components like classes)
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    anomalies: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleAnomalies],
    blessing: tfx.dsl.components.OutputArtifact[DataBlessing],
    table: tfx.dsl.components.OutputArtifact[PhotoTable],
    directory: tfx.dsl.components.Parameter[str],
    pattern: tfx.dsl.components.Parameter[str],
) -> None:
    """Blesses the data if every split has examples, no anomalies, and only photos that can be decoded.

    A photo that cannot be decoded is reported by its record number in a file of `directory` that matches `pattern`.

    Raises:
      DataRefused: if there is any problem.
    """
    problems: list[Anomaly] = []
    counts = {}
    for split in artifact_utils.decode_split_names(examples.split_names):
        counts[split] = example_count(statistics, split)
        if counts[split] == 0:
            problems.append(Anomaly(split, "", "the split has no examples"))
            continue
        found = read_anomalies(anomalies.uri, split)
        if not any(anomaly.feature == IMAGE for anomaly in found):
            measured = photos.measure(examples.uri, split)
            photos.write(measured, table.uri, split)
            if len(measured.labels) < measured.records:
                found += _undecodable(examples.uri, split, directory, pattern)
        problems += found
    if problems:
        raise DataRefused(problems)
    io_utils.write_string_file(f"{blessing.uri}/blessing.json", json_utils.dumps({"examples": counts}))


def _undecodable(examples: str, split: str, directory: str, pattern: str) -> list[Anomaly]:
    """Returns the number of photos in a split that cannot be decoded, and the record files of the first ones.

    Returns [] if all photos can be decoded. ExampleValidator reports classes that cannot be read.
    """
    bad = {photo for photo in _encoded(photos.serialized_examples(examples, split)) if not _decodes(photo)}
    found = [
        f"{file.rpartition('/')[2]} record {index} ({len(photo):,} bytes, beginning with {photo[:12]!r})"
        for file in list_files(directory, pattern)
        for index, photo in enumerate(_encoded(tfrecords.read([file])))
        if photo in bad
    ]
    listed = "; ".join(found[:_MAX_NAMES]) + (" …" if len(found) > _MAX_NAMES else "")
    return [Anomaly(split, IMAGE, f"{plural(len(found), 'photo')} {_UNDECODABLE}: {listed}")] if bad else []


def _encoded(serialized: tf.data.Dataset) -> Iterator[bytes]:
    """Yields the encoded photo of each record."""
    spec = {IMAGE: photos.SPEC[IMAGE]}
    return serialized.map(lambda record: tf.io.parse_single_example(record, spec)[IMAGE]).as_numpy_iterator()


def _decodes(photo: bytes) -> bool:
    try:
        images.decode(images.checked(tf.constant(photo)))
    except tf.errors.InvalidArgumentError:
        return False
    return True


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    (blessing,) = outputs["blessing"]
    counts = json.loads((Path(blessing.uri) / "blessing.json").read_text())["examples"]
    return f"{sum(counts.values()):,} photos match the schema and can be decoded"


STAGE = Stage("DataGate", ("blessing", "table"), _figure, parameters={"data": "directory"})
