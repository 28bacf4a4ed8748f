"""Records the gate's decisions as `checks.json`, which can be read without TensorFlow.

TFMA decides. `checks.json` contains each decision with the value, its 95 % interval and the floor.
"""

import json
from typing import Any, NamedTuple

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tfx import types
from tfx.utils import io_utils

from components import judged_split
from components.artifacts import Artifacts
from trainer.features import CHECKS, CLASS
from trainer.intervals import difference, digits, is_undecided, proportion

ACCURACY = "SparseCategoricalAccuracy"
_TFMA_NAME = "sparse_categorical_accuracy"
_OVERALL = ()  # the slice key of all examples

SliceKey = tuple[tuple[str, Any], ...]


class Check(NamedTuple):
    """One threshold of the gate.

    Attributes:
      what: the metric: the accuracy, the recall of a class, or the candidate's accuracy minus the baseline's.
      value: float32, as TFMA computes it; None if the judged split has no example of the class.
      floor: the threshold. A value of None does not pass.
      passed: TFMA's decision, `value >= floor`.
      low: the lower bound of the 95 % interval; see `trainer.intervals`.
      high: the upper bound.
      n: the number of examples that the value is computed from.
    """

    what: str
    value: float | None
    floor: float
    passed: bool
    low: float | None
    high: float | None
    n: int

    @property
    def undecided(self) -> bool:
        """Whether the floor is inside the interval; see `trainer.intervals.is_undecided`."""
        return is_undecided(self.floor, self.low, self.high)


class Evaluation(NamedTuple):
    """The gate's verdict, its checks, and the split that it judged; the first check is the accuracy's."""

    blessed: bool
    checks: list[Check]
    split: str

    @property
    def accuracy(self) -> float:
        """The candidate's accuracy on the judged split."""
        return self.checks[0].value or 0.0


def record(config: config_pb2.EvalConfig, model: types.Artifact, outputs: Artifacts, split: str) -> None:
    """Writes `checks.json`, and the evaluation's properties `accuracy`, `judged_split` and `refused` (see `refusal`).

    Args:
      config: Evaluator's configuration; see `components.evaluator.eval_config`.
      model: the candidate.
      outputs: Evaluator's outputs.
      split: the judged split.
    """
    (evaluation,), (blessing,) = outputs["evaluation"], outputs["blessing"]
    compared = blessing.has_custom_property("baseline_model_id")
    result = tfma.load_eval_result(evaluation.uri, model_name="candidate" if compared else None)
    metrics = {key: _scalars(values) for key, values in result.slicing_metrics}
    checks = build_checks(config, _class_names(model), metrics, tfma.load_validation_result(evaluation.uri))
    io_utils.write_string_file(f"{evaluation.uri}/{CHECKS}", json.dumps([each._asdict() for each in checks], indent=2))
    evaluation.set_float_custom_property("accuracy", checks[0].value or 0.0)
    evaluation.set_string_custom_property(judged_split.PROPERTY, split)
    evaluation.set_string_custom_property("refused", refusal(checks, split))


def read(outputs: Artifacts) -> Evaluation:
    """Returns the checks that `record` wrote, and the verdict of the blessing."""
    (evaluation,), (blessing,) = outputs["evaluation"], outputs["blessing"]
    listed = json.loads(io_utils.read_string_file(f"{evaluation.uri}/{CHECKS}"))
    split = judged_split.recorded(evaluation.get_string_custom_property(judged_split.PROPERTY))
    return Evaluation(bool(blessing.get_int_custom_property("blessed")), [Check(**each) for each in listed], split)


def build_checks(
    config: config_pb2.EvalConfig,
    names: list[str],
    metrics: dict[SliceKey, dict[str, float]],
    result: validation_result_pb2.ValidationResult,
) -> list[Check]:
    """Returns the checks with TFMA's decisions.

    Args:
      config: see `components.evaluator.eval_config`.
      names: the class names; empty if another tool wrote the model, so the classes are unknown.
      metrics: TFMA's metrics by name, for each slice. With a baseline, the overall slice has a difference too.
      result: TFMA's validation result.
    """
    failed = {
        (slicer_lib.deserialize_slice_key(each.slice_key), failure.metric_key.is_diff)
        for each in result.metric_validations_per_slice
        for failure in each.failures
    }
    overall, each_class = config.metrics_specs[0].metrics[0].per_slice_thresholds
    floor = each_class.threshold.value_threshold.lower_bound.value
    slices: list[tuple[str, SliceKey, float]] = [
        ("accuracy", _OVERALL, overall.threshold.value_threshold.lower_bound.value)
    ]
    for index in range(len(each_class.slicing_specs)):
        slices.append((f"recall of {names[index] if names else f'class {index}'}", ((CLASS, index),), floor))
    checks = [_proportion(what, metrics.get(key), floor, (key, False) not in failed) for what, key, floor in slices]
    if f"{_TFMA_NAME}_diff" in metrics[_OVERALL]:
        floor = overall.threshold.change_threshold.absolute.value
        checks.append(_difference(metrics[_OVERALL], floor, (_OVERALL, True) not in failed))
    return checks


def refusal(checks: list[Check], split: str) -> str:
    """Returns why the gate refused the model on the judged split: at most five failed checks; '' if all passed."""
    failed = [_reason(each, split) for each in checks if not each.passed]
    return "; ".join(failed[:5] + ["…"] * (len(failed) > 5))


def _proportion(what: str, values: dict[str, float] | None, floor: float, passed: bool) -> Check:
    if values is None:
        return Check(what, None, floor, False, None, None, 0)
    value, n = values[_TFMA_NAME], round(values["example_count"])
    interval = proportion(round(value * n), n)
    return Check(what, value, floor, passed, interval["low"], interval["high"], n)


def _difference(values: dict[str, float], floor: float, passed: bool) -> Check:
    value, n = values[f"{_TFMA_NAME}_diff"], round(values["example_count"])
    accuracies = (values[_TFMA_NAME], values[_TFMA_NAME] - value)
    candidate, baseline = (proportion(round(accuracy * n), n) for accuracy in accuracies)
    return Check("accuracy against the baseline", value, floor, passed, *difference(candidate, baseline), n)


def _class_names(model: types.Artifact) -> list[str]:
    """Returns the class names from the model's metadata; empty for a model that the Trainer did not write."""
    recipe = model.get_string_custom_property("recipe")
    return json.loads(recipe)["data"]["classes"] if recipe else []


def _scalars(values: dict) -> dict[str, float]:
    """Returns the scalar metrics from TFMA's nested result; its keys '' stand for the only output and all classes."""
    return {name: each["doubleValue"] for name, each in values[""][""].items() if "doubleValue" in each}


def _reason(check: Check, split: str) -> str:
    if check.value is None:
        return f"{check.what}: no examples in the {split} split (floor {check.floor:.4f})"
    places = digits(check.value, check.floor)
    return f"{check.what} {check.value:.{places}f} (floor {check.floor:.{places}f})"
