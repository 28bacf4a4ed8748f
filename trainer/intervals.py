"""Computes 95 % intervals of proportions for the gate and the report."""

import math
from typing import Any

from scipy.stats import binomtest

Measure = dict[str, Any]


def proportion(hits: int, n: int) -> Measure:
    """Returns hits/n with Wilson's 95 % interval (Wilson 1927), as {value, low, high, n}."""
    if not n:
        return {"value": None, "low": None, "high": None, "n": 0}
    interval = binomtest(int(hits), int(n)).proportion_ci(method="wilson")
    return {"value": hits / n, "low": float(interval.low), "high": float(interval.high), "n": int(n)}


def difference(first: Measure, second: Measure) -> tuple[float, float]:
    """Returns the 95 % interval of the first proportion minus the second (Newcombe 1998, method 10).

    The method assumes two independent samples. For two models on the same photos, the interval is wider than necessary.
    """
    value = first["value"] - second["value"]
    low = value - math.hypot(first["value"] - first["low"], second["high"] - second["value"])
    return low, value + math.hypot(first["high"] - first["value"], second["value"] - second["low"])


def is_undecided(floor: float, low: float | None, high: float | None) -> bool:
    """Returns whether a floor is inside a value's interval, so that another eval split may change the decision."""
    return low is not None and high is not None and low < floor <= high


def digits(value: float, floor: float) -> int:
    """Returns the number of decimals that distinguish a value from its floor, at least four.

    >>> digits(0.7, 0.5), digits(0.5, 0.5), digits(0.699999988, 0.7)
    (4, 4, 8)
    """
    if value == floor:
        return 4
    return next((each for each in range(4, 17) if f"{value:.{each}f}" != f"{floor:.{each}f}"), 17)
