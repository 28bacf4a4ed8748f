"""The gate: its floors without settings, and its checks, which agree with TFMA's decisions to the last digit."""

import itertools
import json
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
from components.evaluator import _without_drop, accuracy_floor, eval_config, recall_floor
from trainer.intervals import Pairs, digits

NAMES = ["cat", "dog"]
ACCURACY = "sparse_categorical_accuracy"


def test_each_floor_applies_only_to_its_own_slices():
    accuracy = eval_config(("a", "b"), 0.8, 0.5, 0.02).metrics_specs[0].metrics[0]
    assert not accuracy.HasField("threshold")  # TFMA would apply it to every slice

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
    for hits in range(0, n, 1 + n // 200):  # without perfect accuracy, which always passes
        low = binomtest(hits, n).proportion_ci(method="wilson").low
        assert (hits / n >= floor) == (low >= share)


def test_guessing_between_two_classes_does_not_pass():
    """With the fixed floors 0.5 and 0.2, an accuracy of 0.667 and a recall of 0.333 passed."""
    recalls = {0: (3, 3), 1: (1, 3)}
    found, blessed = _judge(eval_config(NAMES, accuracy_floor((3, 3)), None, 0.02), recalls)
    assert not blessed
    assert [check.passed for check in found] == [False, True, False]
    assert (recall_floor(2), recall_floor(3), recall_floor(5), recall_floor(200)) == (0.5, 1 / 3, 0.2, 0.2)
    recalls = np.random.default_rng(0).binomial(30, 0.5, (10_000, 2)) / 30
    passed = (recalls.mean(axis=1) >= accuracy_floor((30, 30))) & (recalls.min(axis=1) >= recall_floor(2))
    assert passed.mean() < 0.025


def _judge(
    config: config_pb2.EvalConfig, recalls: dict[int, tuple[int, int]], pairs: Pairs | None = None
) -> tuple[list[checks.Check], bool]:
    """Returns the checks and TFMA's verdict on the floors, given (hits, photos) of each class.

    The metrics and their difference are float32, as in Keras and TFMA.
    """
    compared, written = pairs is not None, config
    config = update_eval_config_with_defaults(_without_drop(config), has_baseline=compared, rubber_stamp=True)
    keys = metric_thresholds_from_metrics_specs(config.metrics_specs, eval_config=config)
    hits, n = (sum(each) for each in zip(*recalls.values(), strict=True))
    slices = {(): (hits, n)} | {(("class", label),): each for label, each in recalls.items() if each[1]}
    result, metrics = validation_result_pb2.ValidationResult(validation_ok=True), {}
    for slice_key, (right, count) in slices.items():
        value = np.float32(right / count)
        other = np.float32((pairs.both + pairs.only_second) / n) if compared and not slice_key else value
        by_name = {"baseline": other, "candidate": value, "": value}
        values = {key: value - other if key.is_diff else by_name[key.model_name] for key in keys}
        part = validate_metrics((slice_key, values), config)
        result.metric_validations_per_slice.extend(part.metric_validations_per_slice)
        merge_details(result, part)
        result.validation_ok &= part.validation_ok
        difference = {f"{ACCURACY}_diff": float(value - other)} if compared else {}
        metrics[slice_key] = {ACCURACY: float(value), "example_count": float(count)} | difference
    found = checks.build_checks(written, NAMES, metrics, result, pairs)
    return found, result.validation_ok and not get_missing_slices(result.validation_details.slicing_details, config)


def _boundary_cases() -> Iterator[tuple[config_pb2.EvalConfig, dict[int, tuple[int, int]]]]:
    """Yields values equal or close to a floor."""
    for n, floor in itertools.product((10, 30, 50, 97, 690), (0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9)):
        for hits in {
            math.floor(floor * n) - 1,
            math.floor(floor * n),
            math.ceil(floor * n),
            min(n, math.ceil(floor * n) + 1),
        }:
            yield eval_config(NAMES, floor, 0.0, 1.0), _split_hits(hits, n)
            yield eval_config(NAMES, 0.0, floor, 1.0), {0: (hits, n), 1: (n, n)}
    yield eval_config(NAMES, 0.0, 0.0, 1.0), {0: (3, 3), 1: (0, 0)}


def _split_hits(hits: int, n: int) -> dict[int, tuple[int, int]]:
    """Returns (hits, photos) of two classes."""
    first = n // 2
    return {0: (min(hits, first), first), 1: (max(0, hits - first), n - first)}


def test_the_checks_agree_with_tfma_at_every_boundary():
    verdicts = Counter()
    for config, recalls in _boundary_cases():
        found, blessed = _judge(config, recalls)
        case = (recalls, found)
        assert all(check.passed for check in found) == blessed, case
        assert (checks.refusal(found, "test") == "") == blessed, case
        for check in found:
            assert check.passed == (check.value is not None and check.value >= check.floor), case
            if check.value is not None:
                places = digits(check.value, check.floor)
                shown = [float(f"{number:.{places}f}") for number in (check.value, check.floor)]
                assert check.passed == (shown[0] >= shown[1]), case  # the rounded numbers show the same decision
                assert check.low <= check.value <= check.high or abs(check.value) == 1, case
        verdicts[blessed] += 1
    assert min(verdicts.values()) > 50, verdicts


@pytest.mark.parametrize(
    ("pairs", "passed", "undecided", "says"),
    [
        (
            Pairs(500, 10, 60, 30),
            False,
            False,
            "the candidate is right on 10 and only the baseline on 60 (McN",
        ),
        (
            Pairs(40, 1, 4, 5),
            True,
            True,
            "too few to say whether the loss is larger than allowed; about 260 photos would do.",
        ),
        (
            Pairs(30, 5, 6, 9),
            True,
            True,
            "whether the loss is larger than allowed; the difference equals",
        ),
        (Pairs(500, 40, 10, 50), True, False, "(McNemar's exact test: p = 2.4e-05)."),
        (Pairs(600, 0, 0, 90), True, False, "each of the same 690 photos."),  # a model against itself
    ],
)
def test_the_comparison_with_the_baseline(pairs, passed, undecided, says):
    hits = pairs.both + pairs.only_first
    found, floors_passed = _judge(eval_config(NAMES, 0.0, 0.0, 0.02), _split_hits(hits, sum(pairs)), pairs)
    check = found[-1]
    assert floors_passed  # TFMA allows any loss
    assert (check.what, check.passed, check.undecided) == ("accuracy against the baseline", passed, undecided)
    assert check.value == pytest.approx((pairs.only_first - pairs.only_second) / sum(pairs), abs=1e-6)
    assert (check.n, check.floor) == (sum(pairs), pytest.approx(-0.02))
    assert says in check.comparison
    assert (checks.refusal(found, "test") == "") == passed
    assert [each.comparison for each in found[:-1]] == [""] * 3
    assert checks.Check(**json.loads(json.dumps(check._asdict()))).comparison == check.comparison


@pytest.mark.parametrize("n", [10, 100, 690])
def test_a_model_as_accurate_as_the_baseline_is_never_refused(n):
    for different in range(n // 2):
        pairs = Pairs(n - 2 * different, different, different, 0)
        found, _ = _judge(eval_config(NAMES, 0.0, 0.0, 0.0), _split_hits(n - different, n), pairs)
        assert found[-1].passed


def test_the_refusal_for_a_class_without_examples():
    found, blessed = _judge(eval_config(NAMES, 0.0, 0.2, 0.02), {0: (3, 3), 1: (0, 0)})
    assert not blessed
    for split in ("eval", "test"):
        assert checks.refusal(found, split) == f"recall of dog: no examples in the {split} split (floor 0.2000)"


def test_a_floor_inside_the_interval_is_undecided():
    found, _ = _judge(eval_config(NAMES, 0.9, 0.0, 0.02), {0: (20, 20), 1: (18, 20)})
    assert [check.undecided for check in found] == [True, False, False]
    assert (found[0].low, found[0].high) == pytest.approx((0.8350, 0.9862), abs=5e-5)
    assert found[0].n == 40
