"""The node ServingSkew: compares the answers that a server kept with the training photos."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.standard_artifacts import ExampleAnomalies, ExampleStatistics
from tfx.utils import io_utils

from components import photos
from components.artifacts import Artifacts, PhotoTable, ReportSection
from components.file_driver import FileDriver
from components.serving_skew import compare, section
from components.stage import Stage, plural
from ingest import kept
from ingest.split_names import TRAIN

_SERVING = "serving"  # the split of the kept answers
_ANSWERS, _SKEWED, _TOO_FEW = "answers", "skewed", "too_few"  # properties of the section


class Driver(FileDriver):
    """Reruns the node if the server has kept more answers."""

    def files(self, properties: Mapping[str, Any]) -> list[str]:
        """Returns the files of kept answers; see the base class."""
        return list(map(str, kept.files(Path(properties["kept"]))))


class Executor(base_executor.BaseExecutor):
    """Writes the statistics, the anomalies and the section."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Compares; see the base class.

        Raises:
          UserError: when the folder has no answer that can be read.
        """
        (table,) = input_dict["table"]
        ((statistics,), (anomalies,), (report,)) = (output_dict[name] for name in STAGE.outputs)
        folder = Path(exec_properties["kept"])
        records = list(kept.read(folder))
        answers = [each for _, each in records if each]
        unread = [place for place, each in records if each is None]
        training = compare.of_photos(photos.read(table.uri, TRAIN), json.loads(exec_properties["classes"]))
        serving = compare.of_answers(answers)
        too_few = _too_few(len(training), len(answers))
        distances: list[compare.Distance] = []
        found = anomalies_pb2.Anomalies()
        if not too_few:
            first, second, found, distances = compare.compare(training, serving)
            for split, each in ((TRAIN, first), (_SERVING, second)):
                io_utils.write_bytes_file(f"{statistics.uri}/Split-{split}/FeatureStats.pb", each.SerializeToString())
        statistics.split_names = artifact_utils.encode_split_names([] if too_few else [TRAIN, _SERVING])
        anomalies.split_names = artifact_utils.encode_split_names([_SERVING])
        io_utils.write_bytes_file(f"{anomalies.uri}/Split-{_SERVING}/SchemaDiff.pb", found.SerializeToString())
        section.write(report.uri, folder, answers, unread, (training, serving), (distances, too_few))
        report.set_int_custom_property(_ANSWERS, len(answers))
        report.set_string_custom_property(_SKEWED, ", ".join(each.feature for each in distances if each.is_skew))
        report.set_string_custom_property(_TOO_FEW, too_few)


def _too_few(training: int, answers: int) -> str:
    """Returns why nothing is compared, because differences by chance would be too large; '' if enough was kept."""
    needed = compare.enough(training)
    if needed is None:
        return f"{plural(training, 'training photo')} are too few"
    return f"{plural(needed, 'answer')} are needed for {training:,} training photos" if answers < needed else ""


class Spec(ComponentSpec):
    """The node's interface; `classes` is a JSON list."""

    PARAMETERS = {name: ExecutionParameter(type=str) for name in ("kept", "classes")}
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


def serving_skew(table: types.BaseChannel, folder: str, classes: list[str]) -> ServingSkew:
    """Returns the node.

    Args:
      table: the measurements of the training photos.
      folder: the folder of the kept answers, on this machine.
      classes: the class names, in the order of the indices.
    """
    outputs = {name: types.Channel(type=parameter.type) for name, parameter in Spec.OUTPUTS.items()}
    return ServingSkew(Spec(table=table, kept=folder, classes=json.dumps(classes), **outputs))


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    (report,) = outputs["section"]
    answers = plural(report.get_int_custom_property(_ANSWERS), "kept answer")
    skewed, too_few = (report.get_string_custom_property(key) for key in (_SKEWED, _TOO_FEW))
    if too_few:
        return f"not compared: {answers}, {too_few}"
    return f"{answers} · skew in {skewed}" if skewed else f"{answers} · no skew"


STAGE = Stage("ServingSkew", tuple(Spec.OUTPUTS), _figure)
