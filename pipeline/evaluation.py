"""What Evaluator measured and decided, read from its artifacts."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow_model_analysis as tfma

from components.evaluator import TFMA_NAME
from pipeline.config import Evaluator
from pipeline.dag_runner import Outputs
from trainer.features import CLASS


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
    """The gate's verdict, and the checks behind it."""

    blessed: bool
    accuracy: float
    checks: list[Check]


def read(outputs: Outputs, classes: Sequence[str], settings: Evaluator) -> Evaluation:
    """Reads accuracy and recalls from Evaluator's outputs. The verdict is the blessing's own."""
    uri = outputs["evaluation"][0].uri
    blessing = outputs["blessing"][0]
    baseline = blessing.get_int_custom_property("baseline_model_id")
    candidate = _accuracies(uri, "candidate" if baseline else None)
    accuracy = candidate[()]
    checks = [Check("accuracy", accuracy, settings.min_accuracy)]
    for index, name in enumerate(classes):
        checks.append(Check(f"recall of {name}", candidate.get(((CLASS, index),)), settings.min_class_recall))
    if baseline:
        before = _accuracies(uri, "baseline")[()]
        checks.append(Check("accuracy against the baseline", accuracy, before - settings.max_accuracy_drop))
    return Evaluation(bool(blessing.get_int_custom_property("blessed")), accuracy, checks)


def _accuracies(uri: str, model_name: str | None) -> dict[tuple, float]:
    """Returns accuracy by slice key, as in {(): 0.9, (('class', 0),): 0.8}."""
    result = tfma.load_eval_result(uri, model_name=model_name)
    return {key: metrics[""][""][TFMA_NAME]["doubleValue"] for key, metrics in result.slicing_metrics}
