"""The node ServingSkew: compares the training photos with the answers of a server; see `components.serving_skew`."""

import json
from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.standard_artifacts import ExampleAnomalies, ExampleStatistics
from tfx.utils import io_utils

from components import photos
from components.artifacts import Artifacts, PhotoTable, ReportSection
from components.input_files import FilesDriver
from components.serving_skew import answers, compare, section
from components.stage import Stage, plural
from ingest import kept
from trainer.features import KEPT_ANSWERS


class Driver(FilesDriver):
    """Adds the files of the kept answers to the cache key."""

    def files(self, properties: dict[str, Any]) -> list[str]:
        """Returns the files; see the base class."""
        return kept.paths(properties[KEPT_ANSWERS])


class Executor(base_executor.BaseExecutor):
    """Writes the statistics, the anomalies and the section."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Compares; see the base class.

        Raises:
          UserError: when the folder has no files of `--keep`.
        """
        (table,), directory = input_dict["table"], exec_properties[KEPT_ANSWERS]
        found = answers.read(directory)
        training = compare.frame_of_training(
            photos.read(table.uri, compare.TRAIN), json.loads(exec_properties["classes"])
        )
        frame = compare.frame_of_answers(found.kept)
        comparison = compare.compare(training, frame)
        (statistics,), (anomalies,), (output,) = (output_dict[name] for name in ("statistics", "anomalies", "section"))
        statistics.split_names = artifact_utils.encode_split_names(list(comparison.statistics))
        for split, each in comparison.statistics.items():
            folder = artifact_utils.get_split_uri([statistics], split)
            io_utils.write_bytes_file(f"{folder}/FeatureStats.pb", each.SerializeToString())
        anomalies.split_names = artifact_utils.encode_split_names([compare.TRAIN])
        folder = artifact_utils.get_split_uri([anomalies], compare.TRAIN)
        io_utils.write_bytes_file(f"{folder}/SchemaDiff.pb", comparison.anomalies.SerializeToString())
        section.write(output.uri, directory, training, frame, found, comparison)
        said = section.verdict(len(training), len(frame), comparison)
        output.set_string_custom_property("skew", said)
        output.set_int_custom_property("unreadable", len(found.unreadable))


class Spec(ComponentSpec):
    """The node's interface; `classes` is JSON."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in (KEPT_ANSWERS, "classes")}
    INPUTS = {"table": ChannelParameter(type=PhotoTable)}
    OUTPUTS = {
        "statistics": ChannelParameter(type=ExampleStatistics),
        "anomalies": ChannelParameter(type=ExampleAnomalies),
        "section": ChannelParameter(type=ReportSection),
    }


class ServingSkew(base_component.BaseComponent):
    """The node ServingSkew."""

    SPEC_CLASS = Spec
    DRIVER_CLASS = Driver
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)


def serving_skew(table: types.BaseChannel, directory: str, classes: Sequence[str]) -> ServingSkew:
    """Returns the node.

    Args:
      table: ExampleGen's table of the photos.
      directory: the folder of the kept answers; see `ingest.kept`.
      classes: the class names.
    """
    outputs = {name: types.Channel(type=each.type) for name, each in Spec.OUTPUTS.items()}
    return ServingSkew(Spec(table=table, **{KEPT_ANSWERS: directory}, classes=json.dumps(classes), **outputs))


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    (output,) = outputs["section"]
    unreadable = output.get_int_custom_property("unreadable")
    more = f" · {plural(unreadable, 'record')} could not be read" if unreadable else ""
    return output.get_string_custom_property("skew") + more


STAGE = Stage("ServingSkew", ("section", "statistics", "anomalies"), _figure)
