"""The gate: an accuracy floor, a recall floor for each class, and no loss against the baseline."""

from collections.abc import Sequence

import tensorflow_model_analysis as tfma
from tfx import types
from tfx import v1 as tfx

from trainer.features import CLASS, PROBABILITIES

ACCURACY = "SparseCategoricalAccuracy"
TFMA_NAME = "sparse_categorical_accuracy"


def eval_config(
    classes: Sequence[str], min_accuracy: float, min_class_recall: float, max_accuracy_drop: float
) -> tfma.EvalConfig:
    """Returns TFMA's configuration. Accuracy over the slice of one true class is that class's recall."""
    overall = tfma.MetricThreshold(
        value_threshold=tfma.GenericValueThreshold(lower_bound={"value": min_accuracy}),
        change_threshold=tfma.GenericChangeThreshold(
            direction=tfma.MetricDirection.HIGHER_IS_BETTER, absolute={"value": -max_accuracy_drop}
        ),
    )
    recall = tfma.PerSliceMetricThreshold(
        slicing_specs=[tfma.SlicingSpec(feature_values={CLASS: str(index)}) for index in range(len(classes))],
        threshold=tfma.MetricThreshold(
            value_threshold=tfma.GenericValueThreshold(lower_bound={"value": min_class_recall})
        ),
    )
    return tfma.EvalConfig(
        model_specs=[tfma.ModelSpec(signature_name="serve_examples", label_key=CLASS, prediction_key=PROBABILITIES)],
        slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=[CLASS])],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    tfma.MetricConfig(class_name=ACCURACY, threshold=overall, per_slice_thresholds=[recall]),
                    tfma.MetricConfig(class_name="ExampleCount"),
                    tfma.MetricConfig(class_name="MultiClassConfusionMatrixPlot"),
                ]
            )
        ],
    )


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
