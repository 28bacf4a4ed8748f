"""Evaluates the candidate and decides whether it may be pushed.

The gate has three thresholds: a floor for the accuracy, a floor for the recall of each class, and the largest allowed
loss of accuracy against the baseline, on the same photos. Settings add those of `components.limits`.
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf
from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2
from tfx import types
from tfx.components.evaluator.executor import Executor
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import artifact_utils
from tfx.types.component_spec import ChannelParameter, ExecutionParameter
from tfx.types.standard_artifacts import ModelBlessing, ModelEvaluation
from tfx.types.standard_component_specs import (
    BASELINE_MODEL_KEY,
    EVAL_CONFIG_KEY,
    EVALUATION_KEY,
    EXAMPLE_SPLITS_KEY,
    EXAMPLES_KEY,
    MODEL_KEY,
    EvaluatorSpec,
)
from tfx.utils import io_utils, json_utils

from components import baseline, checks, extractors, judged_split, limits, predictions
from components.artifacts import Artifacts, PhotoTable
from components.stage import Stage
from trainer import tfrecords
from trainer.features import CLASS, PROBABILITIES, SET_ASIDE, THRESHOLDS, setting_value
from trainer.intervals import DEVIATIONS

_OTHER_METRICS = ("ExampleCount", "MultiClassConfusionMatrixPlot")
_BATCH = 256


def eval_config(
    classes: Sequence[str], min_accuracy: float | None, min_class_recall: float | None, max_accuracy_drop: float
) -> config_pb2.EvalConfig:
    """Returns TFMA's configuration. The accuracy over the examples of one true class is the recall of that class.

    Each floor is a per-slice threshold, because TFMA applies the plain `threshold` of a MetricConfig to every slice.

    Args:
      classes: the class names.
      min_accuracy: the floor. If None, the executor computes it from the judged split; see `accuracy_floor`.
      min_class_recall: the floor for each class. If None, `recall_floor` returns it.
      max_accuracy_drop: the largest allowed loss against the baseline, if there is a baseline.
    """
    overall = config_pb2.SlicingSpec()
    each_class = [config_pb2.SlicingSpec(feature_values={CLASS: str(index)}) for index in range(len(classes))]
    thresholds = [config_pb2.PerSliceMetricThreshold(slicing_specs=specs) for specs in ([overall], each_class)]
    accuracy = config_pb2.MetricConfig(class_name=checks.ACCURACY, per_slice_thresholds=thresholds)
    metrics = [accuracy, *(config_pb2.MetricConfig(class_name=name) for name in _OTHER_METRICS)]
    model = config_pb2.ModelSpec(signature_name="serve_examples", label_key=CLASS, prediction_key=PROBABILITIES)
    config = config_pb2.EvalConfig(
        model_specs=[model],
        slicing_specs=[overall, config_pb2.SlicingSpec(feature_keys=[CLASS])],
        metrics_specs=[config_pb2.MetricsSpec(metrics=metrics)],
    )
    values = {"min_accuracy": min_accuracy, "min_class_recall": min_class_recall}
    set_thresholds(config, values | {"max_accuracy_drop": max_accuracy_drop})
    return config


def set_thresholds(config: config_pb2.EvalConfig, values: dict[str, Any]) -> None:
    """Changes thresholds in a configuration that `eval_config` returned.

    Args:
      config: the configuration to change.
      values: the new values by the name of `eval_config`'s argument. Other thresholds do not change.
    """
    overall, each_class = config.metrics_specs[0].metrics[0].per_slice_thresholds
    if "min_accuracy" in values:
        overall.threshold.ClearField("value_threshold")
        if values["min_accuracy"] is not None:
            overall.threshold.value_threshold.lower_bound.value = values["min_accuracy"]
    if "min_class_recall" in values:
        recall = values["min_class_recall"]
        floor = recall_floor(len(each_class.slicing_specs)) if recall is None else recall
        each_class.threshold.value_threshold.lower_bound.value = floor
    if "max_accuracy_drop" in values:
        overall.threshold.change_threshold.direction = config_pb2.MetricDirection.HIGHER_IS_BETTER
        overall.threshold.change_threshold.absolute.value = -values["max_accuracy_drop"]


def recall_floor(classes: int) -> float:
    """Returns the default floor for the recall of each class: 0.2, or the recall of a uniform guess if that is higher.

    >>> recall_floor(2), recall_floor(5), recall_floor(200)
    (0.5, 0.2, 0.2)
    """
    return max(0.2, 1 / classes)


def accuracy_floor(counts: Collection[int]) -> float:
    """Returns the default accuracy floor. A model that always predicts the largest class does not reach this floor.

    With the share p of the largest class among n examples, the floor is p + 1.96 √(p(1 - p)/n), at most 1. An accuracy
    reaches this floor if and only if the lower bound of its 95 % interval (Wilson 1927) is at least p.

    Args:
      counts: the number of examples of each class in the judged split.

    >>> round(accuracy_floor([6, 6]), 4), round(accuracy_floor([50, 50]), 4), accuracy_floor([2, 1])
    (0.7829, 0.598, 1.0)
    """
    examples = sum(counts)
    share = max(counts) / examples
    return min(1.0, share + DEVIATIONS * math.sqrt(share * (1 - share) / examples))


class ChangeableExecutor(Executor):
    """Evaluator's executor. It accepts other thresholds for a run on a cluster, and records each check.

    It judges the split that `judged_split` returns for the examples, because their splits are known only during the
    run. TFMA decides the floors. `components.checks` compares the predictions of both models on each photo, and decides
    whether the candidate is worse than the baseline.

    The candidate is not compared with a baseline that has other classes. Then only the floors apply, and the
    evaluation's property `baseline_set_aside` contains the reason. LatestPushedModel's "no baseline" placeholder is
    accepted.
    """

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Evaluates; see the base class."""
        examples, (evaluation,) = input_dict[EXAMPLES_KEY], output_dict[EVALUATION_KEY]
        split = judged_split.judged_split(artifact_utils.decode_split_names(examples[0].split_names))
        models = _comparable(input_dict, evaluation)
        config = _with_floors(exec_properties, examples, split)
        exec_properties = {
            **exec_properties,
            EVAL_CONFIG_KEY: json_format.MessageToJson(_without_drop(config), sort_keys=True),
            EXAMPLE_SPLITS_KEY: json_utils.dumps([split]),
            "custom_extractors": f"{extractors.__name__}.custom_extractors",
        }
        with predictions.written_to(evaluation.uri):
            super().Do({**input_dict, BASELINE_MODEL_KEY: models}, output_dict, exec_properties)
        limited = json.loads(exec_properties.get(limits.PROPERTY, "{}"))
        more = limits.build_checks(limited, limits.Judged(input_dict, output_dict, split))
        checks.record(config, input_dict[MODEL_KEY][0], output_dict, split, more)


def _comparable(input_dict: Artifacts, evaluation: types.Artifact) -> list[types.Artifact]:
    """Returns the baseline if the candidate can be compared with it; otherwise writes the reason and returns []."""
    models = [model for model in input_dict.get(BASELINE_MODEL_KEY, []) if not baseline.is_placeholder(model)]
    reasons = [baseline.class_mismatch(input_dict[MODEL_KEY][0], model) for model in models]
    if reason := "; ".join(filter(None, reasons)):
        logging.warning("The baseline is not compared: %s. Only the floors apply.", reason)
        evaluation.set_string_custom_property(SET_ASIDE, reason)
        return []
    return models


def _with_floors(exec_properties: dict[str, Any], examples: list[types.Artifact], split: str) -> config_pb2.EvalConfig:
    """Returns the configuration with the thresholds of this run; computes the accuracy floor if there is none."""
    config = config_pb2.EvalConfig()
    json_format.Parse(exec_properties[EVAL_CONFIG_KEY], config)
    set_thresholds(
        config, {name: setting_value(name, exec_properties[name]) for name in THRESHOLDS if name in exec_properties}
    )
    overall, _ = config.metrics_specs[0].metrics[0].per_slice_thresholds
    if not overall.threshold.HasField("value_threshold"):
        set_thresholds(config, {"min_accuracy": accuracy_floor(_count_classes(examples, split))})
    return config


def _without_drop(config: config_pb2.EvalConfig) -> config_pb2.EvalConfig:
    """Returns a configuration that allows any loss of accuracy: `components.checks` compares with the baseline."""
    result = config_pb2.EvalConfig()
    result.CopyFrom(config)
    set_thresholds(result, {"max_accuracy_drop": 1.0})
    return result


def _count_classes(examples: list[types.Artifact], split: str) -> Collection[int]:
    """Returns the number of examples of each class in a split, without classes that have no examples."""
    files = tf.io.gfile.glob(io_utils.all_files_pattern(artifact_utils.get_split_uri(examples, split)))
    spec = {CLASS: tf.io.FixedLenFeature([], tf.int64)}
    batches = tfrecords.read(sorted(files)).batch(_BATCH)
    return sum((Counter(tf.io.parse_example(batch, spec)[CLASS].numpy()) for batch in batches), Counter()).values()


class Spec(EvaluatorSpec):
    """The node's interface: that of TFX's Evaluator, with the table of photos and the limits."""

    PARAMETERS = {**EvaluatorSpec.PARAMETERS, limits.PROPERTY: ExecutionParameter(type=str)}
    INPUTS = {**EvaluatorSpec.INPUTS, limits.TABLE: ChannelParameter(type=PhotoTable)}


class Evaluator(base_beam_component.BaseBeamComponent):
    """TFX's Evaluator with ChangeableExecutor and another interface; the constructor of TFX's class has a fixed one."""

    SPEC_CLASS = Spec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ChangeableExecutor)


def evaluator(
    examples: types.BaseChannel,
    model: types.BaseChannel,
    baseline_model: types.BaseChannel,
    table: types.BaseChannel,
    config: config_pb2.EvalConfig,
    limited: dict[str, float],
) -> Evaluator:
    """Returns the Evaluator, whose executor chooses the split; see `components.judged_split`.

    Args:
      examples: the examples, of all splits.
      model: the candidate.
      baseline_model: the model to compare with.
      table: the measurements of the photos, a PhotoTable.
      config: see `eval_config`.
      limited: the limits of `components.limits`, by the names of their settings.
    """
    return Evaluator(
        Spec(
            examples=examples,
            model=model,
            baseline_model=baseline_model,
            table=table,
            eval_config=config,
            example_splits=json_utils.dumps(None),
            limits=json.dumps(limited),
            evaluation=types.Channel(type=ModelEvaluation),
            blessing=types.Channel(type=ModelBlessing),
        )
    )


def _figure(outputs: Artifacts, properties: dict[str, Any]) -> str:
    evaluation = checks.read(outputs)
    verdict = "blessed" if evaluation.blessed else "not blessed"
    reason = outputs[EVALUATION_KEY][0].get_string_custom_property(SET_ASIDE)
    notice = f" · no comparison with the baseline, only the floors apply: {reason}" if reason else ""
    return f"accuracy {evaluation.accuracy:.3f} ({evaluation.split}) · {verdict}{notice}"


STAGE = Stage("Evaluator", ("evaluation", "blessing"), _figure, {name: name for name in THRESHOLDS})
