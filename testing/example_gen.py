"""Runs ExampleGen's executor, and writes tables of photos, without a pipeline, for tests and benchmarks."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils, standard_artifacts

from components import example_gen, photos, quarantine
from components.artifacts import PhotoTable, Quarantine
from components.photos import Measured
from components.quarantine import Counts
from ingest.sample import CLASSES
from pipeline.config import READ, Data


class Outputs(NamedTuple):
    """The outputs of a run of ExampleGen."""

    examples: str
    table: str
    quarantine: str
    splits: list[str]
    counts: Counts
    figure: str

    def classes(self) -> dict[str, Counter]:
        """Returns the number of records of each class by split, from the records that were written."""
        found = {}
        for split in self.splits:
            parsed = map(
                tf.train.Example.FromString, photos.serialized_examples(self.examples, split).as_numpy_iterator()
            )
            found[split] = Counter(each.features.feature["class"].int64_list.value[0] for each in parsed)
        return found


def node(folder: Path, pattern: str = "*", **data: Any) -> Any:
    """Returns the component for the settings of `data`."""
    settings = Data(**{"classes": CLASSES, **data}).model_dump(mode="json", include=READ)
    return example_gen.example_gen(str(folder), pattern, **settings)


def run(folder: Path, out: Path, pattern: str = "*", beam_args: list[str] | None = None, **data: Any) -> Outputs:
    """Runs the driver's resolution of properties and the executor."""
    component = node(folder, pattern, **data)
    properties = component.driver_class(None).resolve_exec_properties(dict(component.exec_properties), None, None)
    outputs = {}
    for name, kind in (("examples", standard_artifacts.Examples), ("table", PhotoTable), ("quarantine", Quarantine)):
        outputs[name] = [kind()]
        outputs[name][0].uri = str(out / name)
        (out / name).mkdir(parents=True)
    context = BaseBeamExecutor.Context(beam_pipeline_args=beam_args or [], unique_id="1")
    component.executor_spec.executor_class(context).Do({}, outputs, properties)
    uris = {name: artifact.uri for name, (artifact,) in outputs.items()}
    splits = artifact_utils.decode_split_names(outputs["examples"][0].split_names)
    figure = example_gen.STAGE.figure(outputs, properties)
    return Outputs(**uris, splits=splits, counts=quarantine.read_counts(uris["quarantine"]), figure=figure)


def write_table(examples: str, table: str) -> str:
    """Writes the table of the photos of all splits of an examples folder, and returns the table's folder."""
    for split in photos.splits(examples):
        serialized = list(photos.serialized_examples(examples, split).as_numpy_iterator())
        features = [tf.train.Example.FromString(each).features.feature for each in serialized]
        rows = photos.measure([each["image"].bytes_list.value[0] for each in features]) if serialized else []
        digests = photos.digests(serialized).numpy().tolist() if serialized else []
        measured = [
            Measured(each["class"].int64_list.value[0], *row, digest, b"photo %d" % number)
            for number, (each, row, digest) in enumerate(zip(features, rows, digests, strict=True))
        ]
        photos.write(measured, table, split, "00000-of-00001")
    return table
