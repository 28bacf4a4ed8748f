"""What the gate held against each threshold, in words and numbers, beside what TFMA writes.

TFMA's own files say less to a person and need TensorFlow to be read; `checks.json` needs nothing.
"""

import json
from typing import NamedTuple

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.utils import io_utils

from components.artifacts import Artifacts
from trainer.features import CLASS

ACCURACY = "SparseCategoricalAccuracy"
CHECKS = "checks.json"  # in the evaluation's folder
_TFMA_NAME = "sparse_categorical_accuracy"


class Check(NamedTuple):
    """One threshold of the gate, as fractions of the eval split; no value where the split has no such example."""

    what: str
    value: float | None
    floor: float

    @property
    def passed(self) -> bool:
        """Whether the value reaches the floor. What cannot be measured does not, as in TFMA."""
        return self.value is not None and self.value >= self.floor


class Evaluation(NamedTuple):
    """The gate's verdict, and the checks behind it, the first of which is of the accuracy."""

    blessed: bool
    checks: list[Check]

    @property
    def accuracy(self) -> float:
        """Of the candidate, on the whole eval split."""
        return self.checks[0].value or 0.0


def record(config: config_pb2.EvalConfig, model: types.Artifact, outputs: Artifacts) -> None:
    """Writes `checks.json`, and of it `accuracy` and what `refused` the model, if anything, into the metadata.

    Args:
      config: what Evaluator was given; see `components.evaluator.eval_config`.
      model: the candidate.
      outputs: of Evaluator.
    """
    (evaluation,), (blessing,) = outputs["evaluation"], outputs["blessing"]
    checks = _checks(config, _class_names(model), evaluation.uri, blessing.has_custom_property("baseline_model_id"))
    listed = [{**check._asdict(), "passed": check.passed} for check in checks]
    io_utils.write_string_file(f"{evaluation.uri}/{CHECKS}", json.dumps(listed, indent=2))
    evaluation.set_float_custom_property("accuracy", checks[0].value or 0.0)
    failed = [f"{check.what} {_shown(check.value)}, at least {check.floor:.4f}" for check in checks if not check.passed]
    evaluation.set_string_custom_property("refused", "; ".join(failed[:5] + ["…"] * (len(failed) > 5)))


def read(outputs: Artifacts) -> Evaluation:
    """Reads what `record` wrote. The verdict is the blessing's own."""
    (evaluation,), (blessing,) = outputs["evaluation"], outputs["blessing"]
    listed = json.loads(io_utils.read_string_file(f"{evaluation.uri}/{CHECKS}"))
    checks = [Check(each["what"], each["value"], each["floor"]) for each in listed]
    return Evaluation(bool(blessing.get_int_custom_property("blessed")), checks)


def _checks(config: config_pb2.EvalConfig, names: list[str], uri: str, compared: bool) -> list[Check]:
    whole, each_class = config.metrics_specs[0].metrics[0].per_slice_thresholds
    candidate = _accuracies(uri, "candidate" if compared else None)
    checks = [Check("accuracy", candidate[()], _floor(whole))]
    for index in range(len(each_class.slicing_specs)):
        name = names[index] if names else f"class {index}"
        checks.append(Check(f"recall of {name}", candidate.get(((CLASS, index),)), _floor(each_class)))
    if compared:
        least = _accuracies(uri, "baseline")[()] + whole.threshold.change_threshold.absolute.value
        checks.append(Check("accuracy against the baseline", candidate[()], least))
    return checks


def _floor(slices: config_pb2.PerSliceMetricThreshold) -> float:
    return slices.threshold.value_threshold.lower_bound.value


def _class_names(model: types.Artifact) -> list[str]:
    """Returns the classes that the Trainer wrote into the model's metadata; none for a model of other tools."""
    recipe = model.get_string_custom_property("recipe")
    return json.loads(recipe)["data"]["classes"] if recipe else []


def _accuracies(uri: str, model_name: str | None) -> dict[tuple, float]:
    """Returns accuracy by slice key, as in {(): 0.9, (('class', 0),): 0.8}."""
    result = tfma.load_eval_result(uri, model_name=model_name)
    return {key: metrics[""][""][_TFMA_NAME]["doubleValue"] for key, metrics in result.slicing_metrics}


def _shown(value: float | None) -> str:
    return "of no examples" if value is None else f"{value:.4f}"
