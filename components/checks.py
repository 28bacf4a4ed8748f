"""The gate's checks as numbers and words, beside what TFMA writes.

TFMA decides; `checks.json` records each of its decisions with the value, its interval and the floor, and can be read
without TensorFlow.
"""

import json
from typing import Any, NamedTuple

import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2
from tensorflow_model_analysis.slicer import slicer_lib
from tfx import types
from tfx.utils import io_utils

from components.artifacts import Artifacts
from trainer.features import CHECKS, CLASS
from trainer.intervals import difference, digits, is_undecided, proportion

ACCURACY = "SparseCategoricalAccuracy"
_TFMA_NAME = "sparse_categorical_accuracy"
_WHOLE = ()  # the slice key of all examples

SliceKey = tuple[tuple[str, Any], ...]


class Check(NamedTuple):
    """One threshold of the gate.

    Attributes:
      what: a share of the eval split, or the candidate's accuracy less the baseline's.
      value: as TFMA computes it, float32; None where the split has no such example.
      floor: the threshold; what is not measured does not reach it.
      passed: TFMA's decision, `value >= floor`.
      low: the lower end of the value's 95 % interval; see `trainer.intervals`.
      high: the upper end.
      n: the examples behind the value.
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
        """See `trainer.intervals.is_undecided`."""
        return is_undecided(self.floor, self.low, self.high)


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
    compared = blessing.has_custom_property("baseline_model_id")
    result = tfma.load_eval_result(evaluation.uri, model_name="candidate" if compared else None)
    metrics = {key: _numbers(values) for key, values in result.slicing_metrics}
    checks = judged(config, _class_names(model), metrics, tfma.load_validation_result(evaluation.uri))
    io_utils.write_string_file(f"{evaluation.uri}/{CHECKS}", json.dumps([each._asdict() for each in checks], indent=2))
    evaluation.set_float_custom_property("accuracy", checks[0].value or 0.0)
    evaluation.set_string_custom_property("refused", refused(checks))


def read(outputs: Artifacts) -> Evaluation:
    """Reads what `record` wrote. The verdict is the blessing's own."""
    (evaluation,), (blessing,) = outputs["evaluation"], outputs["blessing"]
    listed = json.loads(io_utils.read_string_file(f"{evaluation.uri}/{CHECKS}"))
    return Evaluation(bool(blessing.get_int_custom_property("blessed")), [Check(**each) for each in listed])


def judged(
    config: config_pb2.EvalConfig,
    names: list[str],
    metrics: dict[SliceKey, dict[str, float]],
    result: validation_result_pb2.ValidationResult,
) -> list[Check]:
    """Returns the checks with TFMA's decisions.

    Args:
      config: see `components.evaluator.eval_config`.
      names: of the classes; none for a model of other tools.
      metrics: by slice, TFMA's metrics by name; those of the whole have a difference where there is a baseline.
      result: TFMA's.
    """
    failed = {
        (slicer_lib.deserialize_slice_key(each.slice_key), failure.metric_key.is_diff)
        for each in result.metric_validations_per_slice
        for failure in each.failures
    }
    whole, each_class = config.metrics_specs[0].metrics[0].per_slice_thresholds
    floor = each_class.threshold.value_threshold.lower_bound.value
    checks = [_share("accuracy", _WHOLE, metrics, whole.threshold.value_threshold.lower_bound.value, failed)]
    for index in range(len(each_class.slicing_specs)):
        name = names[index] if names else f"class {index}"
        checks.append(_share(f"recall of {name}", ((CLASS, index),), metrics, floor, failed))
    if f"{_TFMA_NAME}_diff" in metrics[_WHOLE]:
        checks.append(_difference(metrics[_WHOLE], whole.threshold.change_threshold.absolute.value, failed))
    return checks


def refused(checks: list[Check]) -> str:
    """Returns what refused the model in words, the first five checks of it; '' where all passed."""
    failed = [_reason(each) for each in checks if not each.passed]
    return "; ".join(failed[:5] + ["…"] * (len(failed) > 5))


def _share(what: str, key: SliceKey, metrics: dict[SliceKey, dict[str, float]], floor: float, failed: set) -> Check:
    if key not in metrics:
        return Check(what, None, floor, False, None, None, 0)
    value, n = metrics[key][_TFMA_NAME], round(metrics[key]["example_count"])
    interval = proportion(round(value * n), n)
    return Check(what, value, floor, (key, False) not in failed, interval["low"], interval["high"], n)


def _difference(whole: dict[str, float], floor: float, failed: set) -> Check:
    value, n = whole[f"{_TFMA_NAME}_diff"], round(whole["example_count"])
    candidate, baseline = (proportion(round(share * n), n) for share in (whole[_TFMA_NAME], whole[_TFMA_NAME] - value))
    interval = difference(candidate, baseline)
    return Check("accuracy against the baseline", value, floor, (_WHOLE, True) not in failed, *interval, n)


def _class_names(model: types.Artifact) -> list[str]:
    """Returns the classes that the Trainer wrote into the model's metadata; none for a model of other tools."""
    recipe = model.get_string_custom_property("recipe")
    return json.loads(recipe)["data"]["classes"] if recipe else []


def _numbers(values: dict) -> dict[str, float]:
    """Returns the metrics that are numbers: those of TFMA's one output, without class or top-k."""
    return {name: each["doubleValue"] for name, each in values[""][""].items() if "doubleValue" in each}


def _reason(check: Check) -> str:
    if check.value is None:
        return f"{check.what}: no examples in the eval split (floor {check.floor:.4f})"
    places = digits(check.value, check.floor)
    return f"{check.what} {check.value:.{places}f}, at least {check.floor:.{places}f}"
