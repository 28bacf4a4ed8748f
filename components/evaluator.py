"""The gate: an accuracy floor, a recall floor for each class, and no loss against the baseline."""

import logging
from collections.abc import Sequence
from typing import Any

from google.protobuf import json_format
from tensorflow_model_analysis.proto import config_pb2 as tfma  # TFMA 0.52 has no EvalConfig at its top level
from tfx import types
from tfx import v1 as tfx
from tfx.components.evaluator.executor import Executor
from tfx.dsl.components.base import executor_spec
from tfx.types.standard_component_specs import BASELINE_MODEL_KEY, EVAL_CONFIG_KEY, EVALUATION_KEY, MODEL_KEY

from components import baseline, checks
from components.artifacts import Artifacts
from trainer.features import CLASS, PROBABILITIES, SET_ASIDE, THRESHOLDS


def eval_config(
    classes: Sequence[str], min_accuracy: float, min_class_recall: float, max_accuracy_drop: float
) -> tfma.EvalConfig:
    """Returns TFMA's configuration. Accuracy over the slice of one true class is that class's recall.

    A MetricConfig's plain `threshold` holds for every slice, not for the overall one alone; the overall floor is
    therefore a per-slice threshold of the empty slice.
    """
    whole = tfma.SlicingSpec()
    each_class = [tfma.SlicingSpec(feature_values={CLASS: str(index)}) for index in range(len(classes))]
    no_loss = tfma.GenericChangeThreshold(
        direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -max_accuracy_drop}
    )
    accuracy = tfma.MetricConfig(
        class_name=checks.ACCURACY,
        per_slice_thresholds=[
            _threshold([whole], value_threshold=_at_least(min_accuracy), change_threshold=no_loss),
            _threshold(each_class, value_threshold=_at_least(min_class_recall)),
        ],
    )
    confusion = tfma.MetricConfig(class_name="MultiClassConfusionMatrixPlot")
    model = tfma.ModelSpec(signature_name="serve_examples", label_key=CLASS, prediction_key=PROBABILITIES)
    return tfma.EvalConfig(
        model_specs=[model],
        slicing_specs=[whole, tfma.SlicingSpec(feature_keys=[CLASS])],
        metrics_specs=[tfma.MetricsSpec(metrics=[accuracy, tfma.MetricConfig(class_name="ExampleCount"), confusion])],
    )


def _threshold(slices: list[tfma.SlicingSpec], **bounds: Any) -> tfma.PerSliceMetricThreshold:
    return tfma.PerSliceMetricThreshold(slicing_specs=slices, threshold=tfma.MetricThreshold(**bounds))


def _at_least(value: float) -> tfma.GenericValueThreshold:
    return tfma.GenericValueThreshold(lower_bound={"value": value})


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
        config = tfma.EvalConfig()
        json_format.Parse(exec_properties[EVAL_CONFIG_KEY], config)
        set_thresholds(config, **{name: exec_properties[name] for name in THRESHOLDS if name in exec_properties})
        exec_properties = {**exec_properties, EVAL_CONFIG_KEY: json_format.MessageToJson(config, sort_keys=True)}
        super().Do({**input_dict, BASELINE_MODEL_KEY: models}, output_dict, exec_properties)
        checks.record(config, input_dict[MODEL_KEY][0], output_dict)


def set_thresholds(
    config: tfma.EvalConfig,
    min_accuracy: float | None = None,
    min_class_recall: float | None = None,
    max_accuracy_drop: float | None = None,
) -> None:
    """Changes thresholds in what `eval_config` returned; None leaves one as it is."""
    whole, each_class = (slices.threshold for slices in config.metrics_specs[0].metrics[0].per_slice_thresholds)
    if min_accuracy is not None:
        whole.value_threshold.lower_bound.value = min_accuracy
    if min_class_recall is not None:
        each_class.value_threshold.lower_bound.value = min_class_recall
    if max_accuracy_drop is not None:
        whole.change_threshold.absolute.value = -max_accuracy_drop


class Evaluator(tfx.components.Evaluator):
    """TFX's Evaluator with the executor above."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ChangeableExecutor)


def evaluator(
    examples: types.BaseChannel,
    model: types.BaseChannel,
    baseline_model: types.BaseChannel,
    config: tfma.EvalConfig,
) -> tfx.components.Evaluator:
    """Returns the Evaluator of the eval split."""
    return Evaluator(
        examples=examples,
        model=model,
        baseline_model=baseline_model,
        eval_config=config,
        example_splits=["eval"],
    )
