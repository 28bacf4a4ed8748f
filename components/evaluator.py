"""The gate: an accuracy floor, a recall floor for each class, and no loss against the baseline."""

import logging
import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx import v1 as tfx
from tfx.components.evaluator.executor import Executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils
from tfx.types.standard_component_specs import (
    BASELINE_MODEL_KEY,
    EVAL_CONFIG_KEY,
    EVALUATION_KEY,
    EXAMPLES_KEY,
    MODEL_KEY,
)
from tfx.utils import io_utils

from components import baseline, checks, extractors, predictions
from components.artifacts import Artifacts
from components.stage import Stage
from trainer import tfrecords
from trainer.features import CLASS, PROBABILITIES, SET_ASIDE, THRESHOLDS, setting_value

SPLIT = "eval"
_MEASURED = ("ExampleCount", "MultiClassConfusionMatrixPlot")
_DEVIATIONS = 1.959964  # of the normal distribution, on either side of a 95 % interval
_BATCH = 256


def eval_config(
    classes: Sequence[str], min_accuracy: float | None, min_class_recall: float | None, max_accuracy_drop: float
) -> config_pb2.EvalConfig:
    """Returns TFMA's configuration. Accuracy over the slice of one true class is that class's recall.

    A MetricConfig's plain `threshold` holds for every slice, not for the overall one alone; the overall floor is
    therefore a per-slice threshold of the empty slice.

    Args:
      classes: their names.
      min_accuracy: None leaves the floor to the executor, which computes it from the eval split; see `accuracy_floor`.
      min_class_recall: None is `recall_floor`.
      max_accuracy_drop: against the baseline, where there is one.
    """
    whole = config_pb2.SlicingSpec()
    each_class = [config_pb2.SlicingSpec(feature_values={CLASS: str(index)}) for index in range(len(classes))]
    no_loss = config_pb2.GenericChangeThreshold(
        direction=config_pb2.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -max_accuracy_drop}
    )
    recall = recall_floor(len(classes)) if min_class_recall is None else min_class_recall
    accuracy = config_pb2.MetricConfig(
        class_name=checks.ACCURACY,
        per_slice_thresholds=[
            _threshold([whole], value_threshold=_at_least(min_accuracy), change_threshold=no_loss),
            _threshold(each_class, value_threshold=_at_least(recall)),
        ],
    )
    metrics = [accuracy, *(config_pb2.MetricConfig(class_name=name) for name in _MEASURED)]
    model = config_pb2.ModelSpec(signature_name="serve_examples", label_key=CLASS, prediction_key=PROBABILITIES)
    return config_pb2.EvalConfig(
        model_specs=[model],
        slicing_specs=[whole, config_pb2.SlicingSpec(feature_keys=[CLASS])],
        metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)],
    )


def _threshold(slices: list[config_pb2.SlicingSpec], **bounds: Any) -> config_pb2.PerSliceMetricThreshold:
    return config_pb2.PerSliceMetricThreshold(slicing_specs=slices, threshold=config_pb2.MetricThreshold(**bounds))


def _at_least(value: float | None) -> config_pb2.GenericValueThreshold | None:
    return None if value is None else config_pb2.GenericValueThreshold(lower_bound={"value": value})


def recall_floor(classes: int) -> float:
    """Returns the floor of each class's recall without a setting: 0.2, or a uniform guess's recall where it is higher.

    >>> recall_floor(2), recall_floor(5), recall_floor(200)
    (0.5, 0.2, 0.2)
    """
    return max(0.2, 1 / classes)


def accuracy_floor(counts: Collection[int]) -> float:
    """Returns the accuracy floor without a setting: above what always answering the largest class reaches.

    With that class's share p of n examples it is p + 1.96 √(p(1 - p)/n), at most 1. Of an accuracy that reaches it,
    Wilson's 95 % interval (Wilson 1927) begins at p or above: the two are one condition, solved for one side each.

    Args:
      counts: of the eval split's examples by class.

    >>> round(accuracy_floor([6, 6]), 4), round(accuracy_floor([50, 50]), 4), accuracy_floor([2, 1])
    (0.7829, 0.598, 1.0)
    """
    examples = sum(counts)
    share = max(counts) / examples
    return min(1.0, share + _DEVIATIONS * math.sqrt(share * (1 - share) / examples))


class ChangeableExecutor(Executor):
    """Evaluator's executor, which a run on a cluster may give other thresholds, and which writes down each check.

    It also accepts a cluster's "no baseline" placeholder (`baseline.is_none`), and sets a baseline with other classes
    aside: the floors alone decide then, and the evaluation's property `baseline_set_aside` says why (issue 11).
    """

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Evaluates; see the base class."""
        models = [model for model in input_dict.get(BASELINE_MODEL_KEY, []) if not baseline.is_none(model)]
        differences = [baseline.difference(input_dict[MODEL_KEY][0], model) for model in models]
        if reason := "; ".join(filter(None, differences)):
            logging.warning("The baseline is set aside: %s. The floors alone decide.", reason)
            output_dict[EVALUATION_KEY][0].set_string_custom_property(SET_ASIDE, reason)
            models = []
        config = config_pb2.EvalConfig()
        json_format.Parse(exec_properties[EVAL_CONFIG_KEY], config)
        given = {name: setting_value(name, exec_properties[name]) for name in THRESHOLDS if name in exec_properties}
        set_thresholds(config, given)
        whole, _ = config.metrics_specs[0].metrics[0].per_slice_thresholds
        if not whole.threshold.HasField("value_threshold"):
            set_thresholds(config, {"min_accuracy": accuracy_floor(_count_classes(input_dict[EXAMPLES_KEY]))})
        exec_properties = {**exec_properties, EVAL_CONFIG_KEY: json_format.MessageToJson(config, sort_keys=True)}
        exec_properties["custom_extractors"] = f"{extractors.__name__}.custom_extractors"
        with predictions.written_to(output_dict[EVALUATION_KEY][0].uri):
            super().Do({**input_dict, BASELINE_MODEL_KEY: models}, output_dict, exec_properties)
        checks.record(config, input_dict[MODEL_KEY][0], output_dict)


def set_thresholds(config: config_pb2.EvalConfig, given: dict[str, Any]) -> None:
    """Changes thresholds, by the name of their setting, in what `eval_config` returned.

    Args:
      config: is changed.
      given: as `eval_config` takes them, so that a floor may be None; a threshold that is not given stays.
    """
    whole, each_class = config.metrics_specs[0].metrics[0].per_slice_thresholds
    if "min_accuracy" in given:
        whole.threshold.ClearField("value_threshold")
        if given["min_accuracy"] is not None:
            whole.threshold.value_threshold.lower_bound.value = given["min_accuracy"]
    if "min_class_recall" in given:
        recall = given["min_class_recall"]
        floor = recall_floor(len(each_class.slicing_specs)) if recall is None else recall
        each_class.threshold.value_threshold.lower_bound.value = floor
    if "max_accuracy_drop" in given:
        whole.threshold.change_threshold.absolute.value = -given["max_accuracy_drop"]


def _count_classes(examples: list[types.Artifact]) -> Collection[int]:
    """Returns the number of the eval split's examples of each class that has some."""
    files = tf.io.gfile.glob(io_utils.all_files_pattern(artifact_utils.get_split_uri(examples, SPLIT)))
    spec = {CLASS: tf.io.FixedLenFeature([], tf.int64)}
    batches = tfrecords.read(sorted(files)).batch(_BATCH)
    return sum((Counter(tf.io.parse_example(batch, spec)[CLASS].numpy()) for batch in batches), Counter()).values()


class Evaluator(tfx.components.Evaluator):
    """TFX's Evaluator with the executor above."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ChangeableExecutor)


def evaluator(
    examples: types.BaseChannel,
    model: types.BaseChannel,
    baseline_model: types.BaseChannel,
    config: config_pb2.EvalConfig,
) -> tfx.components.Evaluator:
    """Returns the Evaluator of the eval split."""
    return Evaluator(
        examples=examples,
        model=model,
        baseline_model=baseline_model,
        eval_config=config,
        example_splits=[SPLIT],
    )


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    evaluation = checks.read(outputs)
    verdict = "blessed" if evaluation.blessed else "not blessed"
    reason = outputs[EVALUATION_KEY][0].get_string_custom_property(SET_ASIDE)
    aside = f" · no comparison with the baseline, only the floors apply: {reason}" if reason else ""
    return f"accuracy {evaluation.accuracy:.3f} · {verdict}{aside}"


STAGE = Stage("Evaluator", ("evaluation", "blessing"), _figure, {name: name for name in THRESHOLDS})
