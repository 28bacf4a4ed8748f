"""Computes 95 % intervals of proportions, and of the difference of two models, for the gate and the report."""

import math
from typing import Any, NamedTuple

from scipy.stats import binomtest

DEVIATIONS = 1.959964  # standard deviations of the normal distribution on each side of a 95 % interval

Measure = dict[str, Any]


class Pairs(NamedTuple):
    """The number of examples on which both of two models are right, only the first, only the second, or neither."""

    both: int
    only_first: int
    only_second: int
    neither: int


def proportion(hits: int, n: int) -> Measure:
    """Returns hits/n with Wilson's 95 % interval (Wilson 1927), as {value, low, high, n}."""
    if not n:
        return {"value": None, "low": None, "high": None, "n": 0}
    interval = binomtest(int(hits), int(n)).proportion_ci(method="wilson")
    return {"value": hits / n, "low": float(interval.low), "high": float(interval.high), "n": int(n)}


def difference(pairs: Pairs) -> tuple[float, float]:
    """Returns the 95 % interval of the first model's accuracy minus the second's, on the same examples.

    It is Wald's interval with half an example added to each of the four counts (Agresti and Min 2005, "Simple improved
    confidence intervals for comparing matched proportions").

    >>> low, high = difference(Pairs(both=60, only_first=5, only_second=15, neither=20))
    >>> round(low, 4), round(high, 4)
    (-0.184, -0.0121)
    """
    return _wald(pairs.only_first, pairs.only_second, sum(pairs))


def _wald(only_first: float, only_second: float, count: float) -> tuple[float, float]:
    first, second, n = only_first + 0.5, only_second + 0.5, count + 2
    value = (first - second) / n
    margin = DEVIATIONS * math.sqrt((first + second) / n - value**2) / math.sqrt(n)
    return value - margin, value + margin


def mcnemar(pairs: Pairs) -> float:
    """Returns the two-sided p-value of McNemar's exact test (McNemar 1947) that both models are equally accurate.

    >>> mcnemar(Pairs(60, 5, 15, 20)) == binomtest(5, 20).pvalue, mcnemar(Pairs(8, 0, 0, 2))
    (True, 1.0)
    """
    different = pairs.only_first + pairs.only_second
    return float(binomtest(pairs.only_first, different).pvalue) if different else 1.0


def examples_to_decide(pairs: Pairs, floor: float) -> int | None:
    """Returns about how many examples would decide whether the difference is below a floor, to two digits.

    It assumes that the models differ on other examples as often as on these. None if the difference equals the floor.

    >>> examples_to_decide(Pairs(60, 5, 15, 20), -0.02), examples_to_decide(Pairs(9, 0, 1, 0), -0.1)
    (130, None)
    """
    n = sum(pairs)
    first, second = pairs.only_first / n, pairs.only_second / n
    if abs(first - second - floor) < 1e-9:
        return None
    low, high = difference(pairs)
    needed = max(n, n * ((high - low) / 2 / (first - second - floor)) ** 2)
    while is_undecided(floor, *_wald(first * needed, second * needed, needed)):
        needed *= 1.05
    step = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return math.ceil(needed / step) * step


def is_undecided(floor: float, low: float | None, high: float | None) -> bool:
    """Returns whether a floor is inside a value's interval, so that another eval split may change the decision."""
    return low is not None and high is not None and low < floor <= high


def digits(value: float, floor: float, least: int = 4) -> int:
    """Returns the number of decimals that distinguish a value from its floor, at least `least`.

    >>> digits(0.7, 0.5), digits(0.5, 0.5), digits(0.699999988, 0.7), digits(18.7158, 500.0, 1)
    (4, 4, 8, 1)
    """
    if value == floor:
        return least
    return next((each for each in range(least, 17) if f"{value:.{each}f}" != f"{floor:.{each}f}"), 17)


def places(what: str, value: float, floor: float) -> int:
    """Returns the decimals of a check's value and floor: at least four, for milliseconds and megabytes at least one."""
    return digits(value, floor, 1 if what.endswith((" in ms", " in MB")) else 4)
