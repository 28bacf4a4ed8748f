"""The node BulkInferrer: predicts the photos of a folder with the pushed model, and writes a table.

It replaces TFX's BulkInferrer; docs/decisions/serving.md has the reasons.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.standard_artifacts import InferenceResult, PushedModel

from components.artifacts import Artifacts
from components.bulk import counts, table
from components.bulk.inference import Handler
from components.bulk.reading import COUNTS, Read
from components.input_files import FilesDriver
from components.stage import Stage, plural
from errors import UserError
from ingest import bulk_input
from trainer.features import BULK_DATA

_PREDICTIONS = "predictions"


class Driver(FilesDriver):
    """Adds the photos or record files to the cache key."""

    def files(self, properties: dict[str, Any]) -> list[str]:
        """Returns the files; see the base class."""
        return bulk_input.find(properties[BULK_DATA], properties["pattern"]).files


class Executor(BaseBeamExecutor):
    """Writes Parquet files, and then the counts."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Predicts; see the base class. If the model was not pushed, nothing is written.

        Raises:
          UserError: when the folder has no photo.
          RuntimeError: when the table has not a row for each photo that was read.
        """
        (pushed,), (output,) = input_dict["pushed_model"], output_dict[_PREDICTIONS]
        if not pushed.get_int_custom_property("pushed"):
            return
        directory = exec_properties[BULK_DATA]
        found = bulk_input.find(directory, exec_properties["pattern"])
        read = Read(directory, json.loads(exec_properties["features"]), found.are_records)
        handler = Handler(pushed.uri, exec_properties["model_name"], _version(pushed))
        with self._make_beam_pipeline() as pipeline:
            _predict(pipeline, found, read, handler, output.uri)
        _check(output.uri, directory)


def _predict(pipeline: beam.Pipeline, found: bulk_input.Found, read: Read, handler: Handler, folder: str) -> None:
    """Adds the steps. A file is one piece of work, so that photos are never stored between two steps."""
    items = (
        pipeline
        | "Files" >> beam.Create([os.fsencode(file) for file in found.files])
        | beam.Reshuffle()
        | "Read" >> beam.ParDo(read).with_outputs(COUNTS, main="items")
    )
    rows = items.items | "Predict" >> RunInference(handler)
    _ = rows | "Write" >> beam.io.WriteToParquet(
        f"{folder}/{table.PREFIX}", table.SCHEMA, codec="snappy", file_name_suffix=table.SUFFIX
    )
    _ = (
        (items[COUNTS], rows | "CountRows" >> beam.Map(counts.of_row))
        | beam.Flatten()
        | beam.CombinePerKey(sum)
        | beam.combiners.ToList()
        | "WriteCounts" >> beam.Map(counts.write, folder, found.others)
    )


def _version(pushed: types.Artifact) -> int | None:
    version = pushed.get_string_custom_property("pushed_version")
    return int(version) if version.isdecimal() else None


def _check(folder: str, directory: str) -> None:
    found, written = counts.read(folder), table.count_rows(folder)
    if not found or not found.read:
        raise UserError(f"bulk.data: expected photos, received only empty record files in {directory}; give other data")
    if not found.read == found.rows == written:
        raise RuntimeError(
            f"bulk.data: expected a row for each of {found.read:,} photos, received {written:,} rows; run the same "
            "command again"
        )


class Spec(ComponentSpec):
    """The node's interface; `features` is JSON."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in (BULK_DATA, "pattern", "features", "model_name")}
    INPUTS = {"pushed_model": ChannelParameter(type=PushedModel)}
    OUTPUTS = {_PREDICTIONS: ChannelParameter(type=InferenceResult)}


class BulkInferrer(base_beam_component.BaseBeamComponent):
    """The node BulkInferrer."""

    SPEC_CLASS = Spec
    DRIVER_CLASS = Driver
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def bulk_inferrer(
    pushed_model: types.BaseChannel, directory: str, pattern: str, features: Mapping[str, str], model_name: str
) -> BulkInferrer:
    """Returns the node.

    Args:
      pushed_model: the model; nothing is predicted if it was not pushed.
      directory: the folder of the data; see `ingest.bulk_input`.
      pattern: of the record files.
      features: the records' name of each feature; see `ingest.feature_names`.
      model_name: the model's name in the table.
    """
    output = types.Channel(type=InferenceResult)
    return BulkInferrer(
        Spec(
            pushed_model=pushed_model,
            bulk_data=directory,
            pattern=pattern,
            features=json.dumps(features),
            model_name=model_name,
            predictions=output,
        )
    )


def read(outputs: Artifacts) -> tuple[str, counts.Counts | None]:
    """Returns the folder of the table, and the counts; None if nothing was predicted."""
    (predictions,) = outputs[_PREDICTIONS]
    return predictions.uri, counts.read(predictions.uri)


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    _, found = read(outputs)
    if not found:
        return "not run, because no model was pushed"
    unused = sum(found.unused.values())
    return f"{plural(found.rows, 'photo')}" + f" · {unused:,} not used" * bool(unused)


STAGE = Stage("BulkInferrer", (_PREDICTIONS,), _figure)
