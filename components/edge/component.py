"""The node Edge: converts a blessed model for devices, runs each file on the judged split, and accepts or refuses it.

A file is refused if its accuracy or the recall of a class is below the Evaluator's floors, or if it loses more accuracy
against the SavedModel than `edge.max_loss` allows. A refused file is not pushed; the SavedModel is.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from rich.filesize import decimal
from tfx import types
from tfx.components.util import model_utils
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing, ModelEvaluation, ModelRun, TransformGraph
from tfx.utils import io_utils, path_utils

from components import judged_split, sections, verdict
from components.artifacts import Artifacts, EdgeFiles
from components.edge import convert, judge, runtimes
from components.edge.formats import ACCEPTED, FIGURES, file_name
from components.stage import Stage
from components.verdict import Check
from ingest.split_names import TRAIN
from trainer import input_pipeline, models, weights
from trainer.features import CHECKS, HISTORY
from trainer.recipe import weights_beside
from trainer.settings import Recipe

_PHOTOS = 256  # of the training split, for the ranges of int8
_TIMEOUT_S = 300.0  # for the measurement of a file's speed
_TEXT = (
    "Files of the model for devices, from pixels to probabilities. Each was run with its own runtime on all photos of "
    "the {split} split. A file is accepted if it reaches the floors of the gate and loses at most {loss:g} of the "
    "accuracy against the SavedModel. The rate is that of one photo at a time on one core of this machine under its "
    "load, without decoding. The weights in float32 have {weights}."
)


class Result(NamedTuple):
    """A file of a format, or why there is none.

    Attributes:
      form: the format.
      problem: why the model could not be converted or the file could not be run; '' if it could.
      size: in bytes.
      rate: photos per second on one core.
      checks: of the gate.
    """

    form: str
    problem: str = ""
    size: int = 0
    rate: float = 0.0
    checks: tuple[Check, ...] = ()

    @property
    def refused(self) -> str:
        """Why the file is refused; '' if it is accepted."""
        return self.problem or verdict.refusal(list(self.checks))


class Executor(BaseBeamExecutor):
    """Converts, runs and judges the files."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Writes the accepted files, figures and the report's section; a model that was refused is not converted."""
        (output,), (blessing,) = output_dict["files"], input_dict["model_blessing"]
        settings, results = json.loads(exec_properties["settings"]), []
        if model_utils.is_model_blessed(blessing):
            with tempfile.TemporaryDirectory() as temporary:
                source, photos = _source(input_dict)
                made = [_made(form, source, photos, Path(temporary)) for form in settings["formats"]]
                results = self._judged(made, source, input_dict, settings["max_loss"], Path(temporary), output.uri)
                for each in results:
                    if not each.refused:
                        name = file_name(each.form)
                        io_utils.copy_file(f"{temporary}/{name}", f"{output.uri}/{ACCEPTED}/{name}")
            split = _judged(input_dict)[0]
            _write_section(output.uri, results, source.model.count_params() * 4, split, settings["max_loss"])
        rows = [each._asdict() | {"checks": [check._asdict() for check in each.checks]} for each in results]
        io_utils.write_string_file(f"{output.uri}/{FIGURES}", json.dumps(rows, indent=2))
        output.set_string_custom_property(ACCEPTED, ", ".join(file_name(r.form) for r in results if not r.refused))
        output.set_string_custom_property("refused", "; ".join(f"{r.form}: {r.refused}" for r in results if r.refused))

    def _judged(
        self, made: list[Result], source: convert.Source, inputs: Artifacts, max_loss: float, folder: Path, output: str
    ) -> list[Result]:
        """Returns the results with the checks of the files that run."""
        running = [each for each in made if not each.problem]
        if not running:
            return made
        _, files = _judged(inputs)
        (graph,), (evaluation,) = inputs["transform_graph"], inputs["evaluation"]
        shared = f"{output}/unjudged"  # where Beam's workers find the files
        for each in running:
            io_utils.copy_file(str(folder / file_name(each.form)), f"{shared}/{file_name(each.form)}")
        paths = [f"{shared}/{file_name(each.form)}" for each in running]
        with self._make_beam_pipeline() as pipeline:
            judge.count(pipeline, files, graph.uri, evaluation.uri, paths, f"{shared}/counts.json")
        counts = judge.read_counts(f"{shared}/counts.json", len(running))
        tf.io.gfile.rmtree(shared)
        gate = verdict.from_json(io_utils.read_string_file(f"{evaluation.uri}/{CHECKS}"))
        found = {
            each.form: tuple(judge.checks(rows, source.classes, gate, max_loss))
            for each, rows in zip(running, counts, strict=True)
        }
        return [each._replace(checks=found.get(each.form, ())) for each in made]


def _judged(inputs: Artifacts) -> tuple[str, list[str]]:
    """Returns the split that the Evaluator judged, and the files of its examples."""
    (evaluation,) = inputs["evaluation"]
    split = judged_split.recorded(evaluation.get_string_custom_property(judged_split.PROPERTY))
    return split, _files(inputs, split)


def _files(inputs: Artifacts, split: str) -> list[str]:
    folder = artifact_utils.get_split_uri(inputs["examples"], split)
    return sorted(tf.io.gfile.glob(io_utils.all_files_pattern(folder)))


def _source(inputs: Artifacts) -> tuple[convert.Source, np.ndarray]:
    """Returns what is converted, and photos of the training split: the first of each file."""
    (run,), (model,), (graph,) = inputs["model_run"], inputs["model"], inputs["transform_graph"]
    history = json.loads(io_utils.read_string_file(f"{run.uri}/{HISTORY}"))
    recipe, transform = Recipe.model_validate(history["recipe"]), tft.TFTransformOutput(graph.uri)
    built = models.of_recipe(recipe)
    weights.load(built, weights_beside(path_utils.serving_model_path(model.uri)))
    normalisation = convert.normalisation(transform)
    files = _files(inputs, TRAIN)
    each = -(-_PHOTOS // len(files))
    photos = [
        normalisation.to_uint8(pixels.numpy())
        for file in files
        for _, pixels, _ in input_pipeline.with_records(file, transform, each).take(1)
    ]
    temperature = history["fitted"]["temperature"]
    return convert.Source(built, normalisation, temperature, recipe.data.classes), np.concatenate(photos)[:_PHOTOS]


def _made(form: str, source: convert.Source, photos: np.ndarray, folder: Path) -> Result:
    """Converts the model and measures the file's speed in a process of its own, where it may crash."""
    path = folder / file_name(form)
    try:
        path.write_bytes(convert.convert(form, source, photos))
    except convert.NotConverted as error:
        return Result(form, f"not converted: {error}")
    command = [sys.executable, "-I", str(runtimes.__file__), str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)  # noqa: S603
    except subprocess.TimeoutExpired:
        return Result(form, f"no answer from its runtime after {_TIMEOUT_S:g} s")
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [""]
        return Result(form, f"its runtime ended with the code {done.returncode}: {last[0]}")
    return Result(form, "", path.stat().st_size, json.loads(done.stdout.splitlines()[-1])["images_per_second"])


def _write_section(folder: str, results: list[Result], weights_bytes: int, split: str, max_loss: float) -> None:
    columns = ["file", "size", "of the weights", "accuracy", "against the SavedModel", "photos/s", "verdict"]
    rows: list[list[Any]] = []
    for each in results:
        found = {check.what: check.value for check in each.checks}
        numbers = ["", "", "", "", ""]
        if found:
            size, share = decimal(each.size), f"{each.size / weights_bytes:.0%}"
            accuracy, loss = f"{found[judge.ACCURACY]:.4f}", f"{found[judge.LOSS]:+.4f}"
            numbers = [size, share, accuracy, loss, f"{each.rate:.0f}"]
        rows.append([file_name(each.form), *numbers, f"refused: {each.refused}" if each.refused else "accepted"])
    sections.write(
        folder, "Edge", _TEXT.format(split=split, loss=max_loss, weights=decimal(weights_bytes)), columns, rows
    )


class Spec(ComponentSpec):
    """The node's interface; `settings` is `pipeline.config.Edge` as JSON."""

    PARAMETERS = {"settings": ExecutionParameter(type=str)}
    INPUTS = {
        "examples": ChannelParameter(type=Examples),
        "transform_graph": ChannelParameter(type=TransformGraph),
        "model": ChannelParameter(type=Model),
        "model_run": ChannelParameter(type=ModelRun),
        "evaluation": ChannelParameter(type=ModelEvaluation),
        "model_blessing": ChannelParameter(type=ModelBlessing),
    }
    OUTPUTS = {"files": ChannelParameter(type=EdgeFiles)}


class Edge(base_beam_component.BaseBeamComponent):
    """The node Edge."""

    SPEC_CLASS = Spec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)


def edge(inputs: dict[str, types.BaseChannel], settings: str) -> Edge:
    """Returns the node.

    Args:
      inputs: the inputs of `Spec`.
      settings: `pipeline.config.Edge` as JSON.
    """
    return Edge(Spec(settings=settings, files=types.Channel(type=EdgeFiles), **inputs))


def verdicts(outputs: Artifacts) -> str:
    """Returns the names of the accepted files, and why others were refused; '' if the model was not converted."""
    (files,) = outputs["files"]
    refused = files.get_string_custom_property("refused")
    return " · ".join(filter(None, [files.get_string_custom_property(ACCEPTED), refused and f"refused: {refused}"]))


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    return verdicts(outputs) or "not converted, because the Evaluator did not bless the model"


STAGE = Stage("Edge", ("files",), _figure)
