"""The data gate: stops the run where ExampleValidator only records what is wrong.

It reads the anomalies of each split, refuses a split without examples, and decodes every photo once: TFDV looks at
the first bytes of an image alone, and a photo that cannot be decoded would end the training instead.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import v1 as tfx
from tfx.types import artifact_utils
from tfx.utils import io_utils, json_utils

from components import photos
from components.artifacts import Artifacts, DataBlessing, PhotoTable
from components.stage import Stage
from components.statistics_gen import example_count
from ingest.records import list_files
from trainer import images, tfrecords
from trainer.features import IMAGE

_NAMED = 3  # places of broken photos that are named


class Problem(NamedTuple):
    """One row of the table that the gate prints."""

    split: str
    feature: str
    what: str


class DataRefused(Exception):
    """The data does not keep the schema's contract."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        rows = [Problem("split", "feature", "what is wrong"), *problems]
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        table = "\n".join(f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in rows)
        super().__init__(f"the data breaks its schema in {len(problems)} place{'s' * (len(problems) > 1)}:\n{table}")


@tfx.dsl.components.component
def DataGate(  # noqa: N802 (a TFX component is named as a class)
    examples: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.Examples],
    statistics: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleStatistics],
    anomalies: tfx.dsl.components.InputArtifact[tfx.types.standard_artifacts.ExampleAnomalies],
    blessing: tfx.dsl.components.OutputArtifact[DataBlessing],
    table: tfx.dsl.components.OutputArtifact[PhotoTable],
    directory: tfx.dsl.components.Parameter[str],
    pattern: tfx.dsl.components.Parameter[str],
) -> None:
    """Lets the run go on when every split has examples, no anomaly and only photos that can be decoded.

    Broken photos are named by their shard and record among the files of `directory` that match `pattern`.

    Raises:
      DataRefused: with a table of what is wrong.
    """
    problems: list[Problem] = []
    counts = {}
    for split in artifact_utils.decode_split_names(examples.split_names):
        counts[split] = example_count(statistics, split)
        if counts[split] == 0:
            problems.append(Problem(split, "—", "the split has no examples"))
            continue
        found = _anomalies(artifact_utils.get_split_uri([anomalies], split), split)
        if not any(problem.feature == IMAGE for problem in found):
            measured = photos.measure(examples.uri, split)
            photos.write(measured, table.uri, split)
            if len(measured.places) < measured.records:
                found.append(_undecodable(examples.uri, split, directory, pattern))
        problems += found
    if problems:
        raise DataRefused(problems)
    io_utils.write_string_file(f"{blessing.uri}/blessing.json", json_utils.dumps({"examples": counts}))


def _anomalies(uri: str, split: str) -> list[Problem]:
    found = anomalies_pb2.Anomalies()
    found.ParseFromString(io_utils.read_bytes_file(f"{uri}/SchemaDiff.pb"))
    rows = [Problem(split, name, info.description) for name, info in sorted(found.anomaly_info.items())]
    if found.HasField("dataset_anomaly_info"):
        rows.append(Problem(split, "—", found.dataset_anomaly_info.description))
    return rows


def _undecodable(examples: str, split: str, directory: str, pattern: str) -> Problem:
    """Returns how many photos of a split cannot be decoded, and the places of the first ones."""
    bad = {photo for photo in _encoded(photos.of_split(examples, split)) if not _decodes(photo)}
    places = [
        f"{file.rpartition('/')[2]} record {index} ({len(photo):,} bytes, the first are {photo[:12]!r})"
        for file in list_files(directory, pattern)
        for index, photo in enumerate(_encoded(tfrecords.read([file])))
        if photo in bad
    ]
    named = "; ".join(places[:_NAMED]) + (" …" if len(places) > _NAMED else "")
    return Problem(split, IMAGE, f"{len(places)} {_EXPECTED}: {named}")


_EXPECTED = f"not a JPEG, PNG, GIF or BMP that can be decoded, of at most {images.MAX_PIXELS:,} pixels"


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
    return f"{sum(counts.values()):,} photos keep the schema and can be decoded"


STAGE = Stage("DataGate", ("blessing", "table"), _figure, parameters={"data": "directory"})
