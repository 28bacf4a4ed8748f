"""The gate: an accuracy floor, a recall floor for each class, and no loss against the baseline."""

from collections.abc import Sequence
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import types
from tfx import v1 as tfx

from trainer.features import CLASS, PROBABILITIES

ACCURACY = "SparseCategoricalAccuracy"
TFMA_NAME = "sparse_categorical_accuracy"


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
        class_name=ACCURACY,
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


def evaluator(
    examples: types.BaseChannel,
    model: types.BaseChannel,
    baseline_model: types.BaseChannel,
    config: tfma.EvalConfig,
) -> tfx.components.Evaluator:
    """Returns the Evaluator of the eval split."""
    return tfx.components.Evaluator(
        examples=examples,
        model=model,
        baseline_model=baseline_model,
        eval_config=config,
        example_splits=["eval"],
    )
