"""The gate's checks that are off by default: balanced accuracy, macro F1, worst slice, calibration error.

TFMA's numbers are the source where TFMA has them: the recall of each class, and the confusion matrix.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from components import checks, photos, prediction_files
from components.artifacts import Artifacts
from components.slices import slices_of
from components.verdict import Check
from trainer import calibration
from trainer.features import CLASS
from trainer.intervals import proportion

PROPERTY = "limits"  # Evaluator's execution property: the settings of these checks that are not null, as JSON
TABLE = "table"  # Evaluator's input with the measurements of each photo


class Judged:
    """What the checks are computed from. Each source is read when a check needs it.

    Args:
      inputs: Evaluator's inputs.
      outputs: Evaluator's outputs, with TFMA's results and the predictions.
      split: the judged split.
    """

    def __init__(self, inputs: Artifacts, outputs: Artifacts, split: str):
        self._inputs, self._outputs, self._split = inputs, outputs, split

    @cached_property
    def _result(self) -> Any:
        return checks.load_result(self._outputs)

    @property
    def recalls(self) -> list[float]:
        """TFMA's recall of each class that has examples."""
        slices = checks.metrics_of(self._result)
        return [checks.accuracy_of(values) for key, values in slices.items() if key and key[0][0] == CLASS]

    @property
    def confusion(self) -> np.ndarray:
        """TFMA's counts [classes, classes]: a row for each true class, a column for each predicted class."""
        return confusion_of(dict(self._result.plots)[()])

    @cached_property
    def photos(self) -> photos.Photos:
        """The judged photos."""
        return photos.read(self._inputs[TABLE][0].uri, self._split)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float32 [n, classes], of the candidate."""
        return prediction_files.of_photos(prediction_files.read(self._outputs["evaluation"][0].uri) or {}, self.photos)

    @property
    def correct(self) -> np.ndarray:
        """bool [n], whether the predicted class is the true class."""
        return self.probabilities.argmax(axis=1) == self.photos.labels


def build_checks(limits: dict[str, float], judged: Judged) -> list[Check]:
    """Returns a check for each limit, given by the name of its setting."""
    return [_CHECKS[name](judged, limit) for name, limit in limits.items()]


def confusion_of(plots: dict[str, Any]) -> np.ndarray:
    """Returns the counts [classes, classes] in TFMA's plots of a slice; TFMA omits zeros."""
    (matrix,) = plots[""][""]["multiClassConfusionMatrixAtThresholds"]["matrices"]
    cells = [(int(each.get("actualClassId", 0)), int(each.get("predictedClassId", 0))) for each in matrix["entries"]]
    counts = np.zeros([max(map(max, cells)) + 1] * 2, int)
    for cell, each in zip(cells, matrix["entries"], strict=True):
        counts[cell] = round(each["numWeightedExamples"])
    return counts


def macro_f1(counts: np.ndarray) -> float:
    """Returns the mean F1 score of the classes that are a true or a predicted class of a photo."""
    sums = counts.sum(axis=0) + counts.sum(axis=1)
    return float((2 * np.diag(counts)[sums > 0] / sums[sums > 0]).mean())


def _balanced_accuracy(judged: Judged, floor: float) -> Check:
    return _check("balanced accuracy", float(np.mean(judged.recalls)), floor, judged.confusion.sum())


def _macro_f1(judged: Judged, floor: float) -> Check:
    return _check("macro F1", macro_f1(judged.confusion), floor, judged.confusion.sum())


def _worst_slice(judged: Judged, floor: float) -> Check:
    every = [each for slices in slices_of(judged.photos).values() for each in slices]
    worst = min(every, key=lambda each: judged.correct[each.mask].mean())
    right = proportion(judged.correct[worst.mask].sum(), worst.mask.sum())
    check = _check(f"accuracy of the worst slice, {worst.name}", right["value"], floor, right["n"])
    return check._replace(low=right["low"], high=right["high"])


def _calibration_error(judged: Judged, limit: float) -> Check:
    error = calibration.reliability(judged.probabilities.max(axis=1), judged.correct)["error"]
    return _check("calibration error", error, limit, len(judged.correct), upper=True)


def _check(what: str, value: float, floor: float, n: int, upper: bool = False) -> Check:
    passed = value <= floor if upper else value >= floor
    return Check(what, float(value), floor, bool(passed), None, None, int(n), upper=upper)


# by the name of the setting in `evaluator`
_CHECKS: dict[str, Callable[[Judged, float], Check]] = {
    "min_balanced_accuracy": _balanced_accuracy,
    "min_macro_f1": _macro_f1,
    "min_slice_accuracy": _worst_slice,
    "max_calibration_error": _calibration_error,
}
