"""Records the gate's decisions as `checks.json`, which can be read without TensorFlow.

TFMA decides the floors. The candidate is compared with the baseline on the same photos, and refused only if its
accuracy is lower by more than the allowed loss beyond doubt. `checks.json` contains each decision with the value, its
95 % interval and the floor.
"""

import json
from typing import Any

import tensorflow as tf
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tfx import types
from tfx.components.evaluator import constants
from tfx.utils import io_utils

from components import judged_split, predictions
from components.artifacts import Artifacts
from components.verdict import Check, Evaluation, from_json, refusal, to_json
from trainer.features import CHECKS, CLASS
from trainer.intervals import Pairs, difference, proportion

ACCURACY = "SparseCategoricalAccuracy"
_TFMA_NAME = "sparse_categorical_accuracy"
_OVERALL = ()  # the slice key of all examples

SliceKey = tuple[tuple[str, Any], ...]


def record(
    config: config_pb2.EvalConfig, model: types.Artifact, outputs: Artifacts, split: str, more: list[Check]
) -> None:
    """Writes `checks.json`, and the evaluation's properties `accuracy`, `judged_split` and `refused` (see `refusal`).

    Args:
      config: Evaluator's configuration; see `components.evaluator.eval_config`.
      model: the candidate.
      outputs: Evaluator's outputs.
      split: the judged split.
      more: the checks of `components.limits`.
    """
    (evaluation,), (blessing,) = outputs["evaluation"], outputs["blessing"]
    metrics, pairs = metrics_of(load_result(outputs)), predictions.read_pairs(evaluation.uri)
    checks = build_checks(config, _class_names(model), metrics, tfma.load_validation_result(evaluation.uri), pairs)
    checks += more
    if not all(check.passed for check in checks):
        _refuse(blessing)
    io_utils.write_string_file(f"{evaluation.uri}/{CHECKS}", to_json(checks))
    evaluation.set_float_custom_property("accuracy", checks[0].value or 0.0)
    evaluation.set_string_custom_property(judged_split.PROPERTY, split)
    evaluation.set_string_custom_property("refused", refusal(checks, split))


def load_result(outputs: Artifacts) -> Any:
    """Returns TFMA's result for the candidate."""
    (evaluation,), (blessing,) = outputs["evaluation"], outputs["blessing"]
    compared = blessing.has_custom_property("baseline_model_id")
    return tfma.load_eval_result(evaluation.uri, model_name="candidate" if compared else None)


def metrics_of(result: Any) -> dict[SliceKey, dict[str, float]]:
    """Returns the metrics by name, for each slice; see `accuracy_of`."""
    return {key: _scalars(values) for key, values in result.slicing_metrics}


def accuracy_of(metrics: dict[str, float]) -> float:
    """Returns the accuracy in a slice; in the slice of a class, this is its recall."""
    return metrics[_TFMA_NAME]


def read(outputs: Artifacts) -> Evaluation:
    """Returns the checks that `record` wrote, and the verdict of the blessing."""
    (evaluation,), (blessing,) = outputs["evaluation"], outputs["blessing"]
    checks = from_json(io_utils.read_string_file(f"{evaluation.uri}/{CHECKS}"))
    split = judged_split.recorded(evaluation.get_string_custom_property(judged_split.PROPERTY))
    return Evaluation(bool(blessing.get_int_custom_property("blessed")), checks, split)


def build_checks(
    config: config_pb2.EvalConfig,
    names: list[str],
    metrics: dict[SliceKey, dict[str, float]],
    result: validation_result_pb2.ValidationResult,
    pairs: Pairs | None,
) -> list[Check]:
    """Returns the checks: TFMA's decisions of the floors, and the comparison with the baseline.

    Args:
      config: see `components.evaluator.eval_config`.
      names: the class names; empty if another tool wrote the model, so the classes are unknown.
      metrics: TFMA's metrics by name, for each slice. With a baseline, the overall slice has a difference too.
      result: TFMA's validation result.
      pairs: the counts of candidate and baseline; None without a baseline.
    """
    failed = {
        slicer_lib.deserialize_slice_key(each.slice_key)
        for each in result.metric_validations_per_slice
        if each.failures
    }
    overall, each_class = config.metrics_specs[0].metrics[0].per_slice_thresholds
    floor = each_class.threshold.value_threshold.lower_bound.value
    slices: list[tuple[str, SliceKey, float]] = [
        ("accuracy", _OVERALL, overall.threshold.value_threshold.lower_bound.value)
    ]
    for index in range(len(each_class.slicing_specs)):
        slices.append((f"recall of {names[index] if names else f'class {index}'}", ((CLASS, index),), floor))
    checks = [_proportion(what, metrics.get(key), floor, key not in failed) for what, key, floor in slices]
    if pairs:
        floor = overall.threshold.change_threshold.absolute.value
        checks.append(_difference(metrics[_OVERALL][f"{_TFMA_NAME}_diff"], floor, pairs))
    return checks


def _proportion(what: str, values: dict[str, float] | None, floor: float, passed: bool) -> Check:
    if values is None:
        return Check(what, None, floor, False, None, None, 0)
    value, n = accuracy_of(values), round(values["example_count"])
    interval = proportion(round(value * n), n)
    return Check(what, value, floor, passed, interval["low"], interval["high"], n)


def _difference(value: float, floor: float, pairs: Pairs) -> Check:
    low, high = difference(pairs)
    floor += 0.0  # -0.0 becomes 0.0
    return Check("accuracy against the baseline", value, floor, high >= floor, low, high, sum(pairs), pairs)


def _refuse(blessing: types.Artifact) -> None:
    """Takes back a blessing that TFMA gave for the floors alone."""
    if tf.io.gfile.exists(f"{blessing.uri}/{constants.BLESSED_FILE_NAME}"):
        tf.io.gfile.remove(f"{blessing.uri}/{constants.BLESSED_FILE_NAME}")
        io_utils.write_string_file(f"{blessing.uri}/{constants.NOT_BLESSED_FILE_NAME}", "")
    blessing.set_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY, constants.NOT_BLESSED_VALUE)


def _class_names(model: types.Artifact) -> list[str]:
    """Returns the class names from the model's metadata; empty for a model that the Trainer did not write."""
    recipe = model.get_string_custom_property("recipe")
    return json.loads(recipe)["data"]["classes"] if recipe else []


def _scalars(values: dict) -> dict[str, float]:
    """Returns the scalar metrics from TFMA's nested result; its keys '' stand for the only output and all classes."""
    return {name: each["doubleValue"] for name, each in values[""][""].items() if "doubleValue" in each}
