"""The gate: its floors without settings, and its checks, which agree with TFMA's decisions to the last digit."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import binomtest
from tensorflow_model_analysis.evaluators.metrics_validator import get_missing_slices, merge_details, validate_metrics
from tensorflow_model_analysis.metrics.metric_specs import metric_thresholds_from_metrics_specs
from tensorflow_model_analysis.proto import config_pb2, validation_result_pb2
from tensorflow_model_analysis.slicer.slicer_lib import SingleSliceSpec
from tensorflow_model_analysis.utils.config_util import update_eval_config_with_defaults

from components import checks
from components.evaluator import accuracy_floor, eval_config, recall_floor
from trainer.intervals import digits

NAMES = ["cat", "dog"]
ACCURACY = "sparse_categorical_accuracy"


def test_each_floor_binds_its_own_slices_alone():
    accuracy = eval_config(("a", "b"), 0.8, 0.5, 0.02).metrics_specs[0].metrics[0]
    assert not accuracy.HasField("threshold")  # TFMA would hold it against every slice

    def floors(slice_key: tuple) -> list[float]:
        return [
            each.threshold.value_threshold.lower_bound.value
            for each in accuracy.per_slice_thresholds
            for spec in each.slicing_specs
            if SingleSliceSpec(spec=spec).is_slice_applicable(slice_key)
        ]

    assert floors(()) == [0.8]
    assert floors((("class", 0),)) == floors((("class", 1),)) == [0.5]


@pytest.mark.parametrize("counts", [(6, 6), (50, 50), (70, 30), (1, 1), (138, 138, 138, 138, 138), (690,), (2, 1)])
def test_an_accuracy_at_the_computed_floor_is_better_than_the_largest_class(counts):
    n, share = sum(counts), max(counts) / sum(counts)
    floor = accuracy_floor(counts)
    assert floor == 1 or floor > share
    for hits in range(0, n, 1 + n // 200):  # but not a perfect answer, which is never refused
        low = binomtest(hits, n).proportion_ci(method="wilson").low
        assert (hits / n >= floor) == (low >= share)


def test_a_coin_does_not_pass_two_classes():
    """Accuracy 0.667 with a recall of 0.333, which the fixed floors of 0.5 and 0.2 blessed (issue 11)."""
    recalls = {0: (3, 3), 1: (1, 3)}
    made, blessed = _judge(eval_config(NAMES, accuracy_floor((3, 3)), None, 0.02), recalls)
    assert not blessed
    assert [check.passed for check in made] == [False, True, False]
    assert (recall_floor(2), recall_floor(3), recall_floor(5), recall_floor(200)) == (0.5, 1 / 3, 0.2, 0.2)
    recalls = np.random.default_rng(0).binomial(30, 0.5, (10_000, 2)) / 30
    passed = (recalls.mean(axis=1) >= accuracy_floor((30, 30))) & (recalls.min(axis=1) >= recall_floor(2))
    assert passed.mean() < 0.025


def _judge(
    config: config_pb2.EvalConfig, recalls: dict[int, tuple[int, int]], baseline: int | None = None
) -> tuple[list[checks.Check], bool]:
    """Returns our checks and TFMA's verdict, where a model has so many hits among so many photos of each class.

    The metrics are float32, as Keras gives them, and so is their difference, which TFMA takes from them.
    """
    compared = baseline is not None
    config = update_eval_config_with_defaults(config, has_baseline=compared, rubber_stamp=True)
    keys = metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config)
    hits, n = (sum(each) for each in zip(*recalls.values(), strict=True))
    slices = {(): (hits, n)} | {(("class", label),): each for label, each in recalls.items() if each[1]}
    result, metrics = validation_result_pb2.ValidationResult(validation_ok=True), {}
    for slice_key, (right, count) in slices.items():
        value = np.float32(right / count)
        other = np.float32(baseline / n) if compared and not slice_key else value
        by_name = {"baseline": other, "candidate": value, "": value}
        found = {key: value - other if key.is_diff else by_name[key.model_name] for key in keys}
        part = validate_metrics((slice_key, found), config)
        result.metric_validations_per_slice.extend(part.metric_validations_per_slice)
        merge_details(result, part)
        result.validation_ok &= part.validation_ok
        theirs = {f"{ACCURACY}_diff": float(value - other)} if compared else {}
        metrics[slice_key] = {ACCURACY: float(value), "example_count": float(count)} | theirs
    made = checks.judged(config, NAMES, metrics, result)
    return made, result.validation_ok and not get_missing_slices(result.validation_details.slicing_details, config)


def _boundary_cases() -> Iterator[tuple[config_pb2.EvalConfig, dict[int, tuple[int, int]], int | None]]:
    """Yields values next to a floor or on it, and candidates next to what they may lose against the baseline."""
    random = np.random.default_rng(11)
    for n, drop in itertools.product((50, 97, 690), (0.0, 0.01, 0.02, 0.1)):
        config = eval_config(NAMES, 0.0, 0.0, drop)
        for baseline in random.integers(n // 4, n, 5):
            for hits in {round(baseline - drop * n) + step for step in (-1, 0, 1)}:
                if 0 <= hits <= n:
                    yield config, _dealt(hits, n), int(baseline)
    for n, floor in itertools.product((10, 50, 690), (0.1, 0.3, 0.7, 0.9)):
        for hits in {math.floor(floor * n), math.ceil(floor * n), min(n, math.ceil(floor * n) + 1)}:
            yield eval_config(NAMES, floor, 0.0, 1.0), _dealt(hits, n), None
            yield eval_config(NAMES, 0.0, floor, 1.0), {0: (hits, n), 1: (n, n)}, None
    yield eval_config(NAMES, 0.0, 0.0, 1.0), {0: (3, 3), 1: (0, 0)}, None


def _dealt(hits: int, n: int) -> dict[int, tuple[int, int]]:
    first = n // 2
    return {0: (min(hits, first), first), 1: (max(0, hits - first), n - first)}


def test_the_checks_are_tfmas_decisions_at_every_boundary():
    verdicts = Counter()
    for config, recalls, baseline in _boundary_cases():
        made, blessed = _judge(config, recalls, baseline)
        case = (recalls, baseline, made)
        assert all(check.passed for check in made) == blessed, case
        assert (checks.refused(made) == "") == blessed, case
        for check in made:
            assert check.passed == (check.value is not None and check.value >= check.floor), case
            if check.value is not None:
                places = digits(check.value, check.floor)
                shown = [float(f"{number:.{places}f}") for number in (check.value, check.floor)]
                assert check.passed == (shown[0] >= shown[1]), case  # what a person reads says the same
                assert check.low <= check.value <= check.high or abs(check.value) == 1, case
        verdicts[blessed] += 1
    assert min(verdicts.values()) > 50, verdicts


def test_a_loss_of_the_allowed_drop_is_what_tfma_makes_of_it():
    """0.70 against 0.72: in float32 that is a loss of 0.02000004, and TFMA refuses (issue 11)."""
    made, blessed = _judge(eval_config(NAMES, 0.0, 0.0, 0.02), _dealt(35, 50), 36)
    assert not blessed
    assert checks.refused(made) == "accuracy against the baseline -0.02000004, at least -0.02000000"


def test_a_class_without_examples_is_refused_in_words():
    made, blessed = _judge(eval_config(NAMES, 0.0, 0.2, 0.02), {0: (3, 3), 1: (0, 0)})
    assert not blessed
    assert checks.refused(made) == "recall of dog: no examples in the eval split (floor 0.2000)"


def test_a_floor_inside_the_interval_is_undecided():
    made, _ = _judge(eval_config(NAMES, 0.9, 0.0, 0.02), {0: (20, 20), 1: (18, 20)})
    assert [check.undecided for check in made] == [True, False, False]
    assert (made[0].low, made[0].high) == pytest.approx((0.8350, 0.9862), abs=5e-5)
    assert made[0].n == 40
