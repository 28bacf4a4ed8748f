"""The checks of the gate and its verdict, as the Evaluator and ServingCheck record them in `checks.json`."""

import json
from typing import NamedTuple

from trainer.intervals import Pairs, examples_to_decide, is_undecided, mcnemar, places


class Check(NamedTuple):
    """One threshold of the gate.

    Attributes:
      what: the metric: the accuracy, the recall of a class, the candidate's accuracy minus the baseline's, one of
        `components.limits`, or one of `components.serving_check`.
      value: float32, as TFMA computes it; None if the judged split has no example of the class, or with `problem`.
      floor: the threshold. A value of None does not pass.
      passed: TFMA's decision, `value >= floor`; of the comparison with the baseline, `high >= floor`; with `upper`,
        `value <= floor`.
      low: the lower bound of the 95 % interval; see `trainer.intervals`. None for metrics without an interval.
      high: the upper bound.
      n: the number of examples that the value is computed from.
      pairs: of the comparison with the baseline, on how many examples both models are right, only the candidate, only
        the baseline, and neither; see `trainer.intervals.Pairs`.
      upper: whether `floor` is the largest value that passes, not the smallest.
      problem: why there is no value, if the reason is not that the split has no examples.
    """

    what: str
    value: float | None
    floor: float
    passed: bool
    low: float | None
    high: float | None
    n: int
    pairs: tuple[int, int, int, int] | None = None
    upper: bool = False
    problem: str = ""

    @property
    def undecided(self) -> bool:
        """Whether the floor is inside the interval; see `trainer.intervals.is_undecided`."""
        return is_undecided(self.floor, self.low, self.high)

    @property
    def comparison(self) -> str:
        """What the comparison with the baseline found, as sentences; '' for other checks."""
        if self.pairs is None:
            return ""
        pairs = Pairs(*self.pairs)
        if not pairs.only_first + pairs.only_second:
            return f"Both models are right, or both are wrong, on each of the same {self.n:,} photos."
        found = (
            f"On the same {self.n:,} photos, only the candidate is right on {pairs.only_first:,} and only the baseline "
            f"on {pairs.only_second:,} (McNemar's exact test: p = {mcnemar(pairs):.2g})."
        )
        if not self.undecided:
            return found
        needed = examples_to_decide(pairs, self.floor)
        enough = f"about {needed:,} photos would do" if needed else "the difference equals the floor"
        return f"{found} These are too few to say whether the loss is larger than allowed; {enough}."


class Evaluation(NamedTuple):
    """The gate's verdict, its checks, and the split that it judged; the first check is the accuracy's."""

    blessed: bool
    checks: list[Check]
    split: str

    @property
    def accuracy(self) -> float:
        """The candidate's accuracy on the judged split."""
        return self.checks[0].value or 0.0

    def joined(self, blessed: bool, checks: list[Check]) -> "Evaluation":
        """Returns the verdict together with that of ServingCheck."""
        return self._replace(blessed=self.blessed and blessed, checks=self.checks + checks)


def to_json(checks: list[Check]) -> str:
    """Returns the content of `checks.json`; it has the sentences of `comparison` for the report."""
    return json.dumps([each._asdict() | {"comparison": each.comparison} for each in checks], indent=2)


def from_json(text: str) -> list[Check]:
    """Returns the checks, given the content of `checks.json`."""
    return [Check(**{key: each[key] for key in Check._fields if key in each}) for each in json.loads(text)]


def refusal(checks: list[Check], split: str = "") -> str:
    """Returns why the gate refused the model on the judged split: at most five failed checks; '' if all passed."""
    failed = [_reason(each, split) for each in checks if not each.passed]
    return "; ".join(failed[:5] + ["…"] * (len(failed) > 5))


def _reason(check: Check, split: str) -> str:
    if check.problem:
        return f"{check.what}: {check.problem}"
    if check.value is None:
        return f"{check.what}: no examples in the {split} split (floor {check.floor:.4f})"
    decimals = places(check.what, check.value, check.floor)
    return f"{check.what} {check.value:.{decimals}f} ({'limit' if check.upper else 'floor'} {check.floor:.{decimals}f})"
