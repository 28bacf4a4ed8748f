"""Compares the answers of the exported model with those of the Trainer's model."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from tensorflow.compat.v1.saved_model import CLASSIFY_OUTPUT_CLASSES, CLASSIFY_OUTPUT_SCORES

from components.serving_check.plan import Expected, Plan
from trainer import prediction_sets
from trainer.features import CLASS_INDEX, FAMILIAR, LABEL, LABELS, PIXELS, PROBABILITIES, SIZE, STATUS, SURE

TOLERANCE = 0.01  # of a probability: a GPU's or TPU's shorter floats give other last digits than the CPU of the check
_ROUNDING = 1e-4  # of values that are compared within one answer
_SUM = 1e-3

Arrays = Mapping[str, np.ndarray]


class Answer(NamedTuple):
    """The outputs of one request.

    Attributes:
      outputs: by name; None if it is missing.
      numbers: the numbers of the photos that were sent.
      is_good: bool [n], whether a photo is not damaged.
      is_reference: bool [n], whether the Trainer's answer is known.
      expected: see `Expected`.
    """

    outputs: dict[str, Any]
    numbers: np.ndarray
    is_good: np.ndarray
    is_reference: np.ndarray
    expected: Expected

    def good(self, output: str) -> np.ndarray:
        """Returns the output of the photos that are not damaged."""
        return self.outputs[output][self.is_good]

    def damaged(self, output: str) -> np.ndarray:
        """Returns the output of the damaged photos."""
        return self.outputs[output][~self.is_good]


class Findings(NamedTuple):
    """The result of the comparison.

    Attributes:
      problems: what is wrong with the answers; empty if the model serves.
      difference: the largest difference of a probability from the Trainer's.
      photos: the number of answers that were compared.
    """

    problems: list[str]
    difference: float
    photos: int


def judge(plan: Plan, expected: Expected, answers: Arrays, figures: Mapping[str, Any]) -> Findings:
    """Returns the findings.

    Args:
      plan: the requests.
      expected: the Trainer's answers.
      answers: by SIGNATURE/REQUEST/OUTPUT, as `components.serving_check.client` writes them.
      figures: the client's figures.
    """
    names = figures["signatures"]
    missing = [f"the signature {name} is missing" for name in plan.signatures if name not in names and names]
    problems: dict[tuple[str, str], str] = {}  # the first request with each problem of a signature
    differences = [np.zeros([0])]
    for place, error in figures["failed"].items():
        name, _, request = place.partition(", ")
        problems.setdefault((name, error), request)
    for name, request in itertools.product(plan.signatures, plan.requests):
        if name not in names or f"{name}, {request}" in figures["failed"]:
            continue
        outputs = {output: answers.get(f"{name}/{request}/{output}") for output in plan.signatures[name].outputs}
        answer = _answer(plan, expected, outputs, plan.requests[request])
        found = list(_wrong_form(answer)) or list(_wrong_values(answer))
        for problem in found:
            problems.setdefault((name, problem), request)
        differences += [] if found else _differences(answer)
    every = np.concatenate(differences)
    difference = float(every.max(initial=0))
    listed = [f"{name}{', ' * bool(request)}{request}: {text}" for (name, text), request in problems.items()]
    if difference > TOLERANCE:
        listed.insert(0, f"a probability differs from the Trainer's by {difference:.4f}; at most {TOLERANCE:g} may")
    return Findings(missing + listed, difference, len(every))


def _answer(plan: Plan, expected: Expected, outputs: dict[str, Any], numbers: list[int]) -> Answer:
    sent = np.array(numbers, int)
    return Answer(outputs, sent, sent < plan.damaged, sent < len(expected.probabilities), expected)


def _wrong_form(answer: Answer) -> Iterator[str]:
    for name, values in answer.outputs.items():
        if values is None:
            yield f"the output {name} is missing"
        elif values.shape[:1] != answer.numbers.shape:
            yield f"{name} has the shape {values.shape} for {len(answer.numbers)} photos"


def _wrong_values(answer: Answer) -> Iterator[str]:
    for output in answer.outputs:
        if output in _CHECKS:
            yield from _CHECKS[output](answer)


def _differences(answer: Answer) -> list[np.ndarray]:
    """Returns, for each output with probabilities, the largest difference of each photo from the Trainer's answer."""
    known = answer.expected.probabilities[answer.numbers[answer.is_reference]]
    names = [name for name in (PROBABILITIES, CLASSIFY_OUTPUT_SCORES) if name in answer.outputs]
    return [np.abs(answer.outputs[name][answer.is_reference] - known).max(axis=1) for name in names]


def _status(answer: Answer) -> Iterator[str]:
    for text in dict.fromkeys(answer.good(STATUS).tolist()):
        if text:
            yield f"a good photo has the status '{text.decode(errors='replace')}'"
    if not all(answer.damaged(STATUS).tolist()):
        yield "a damaged photo has no status"


def _scores(output: str) -> Callable[[Answer], Iterator[str]]:
    def check(answer: Answer) -> Iterator[str]:
        scores, classes = answer.good(output), len(answer.expected.classes)
        if answer.outputs[output].shape[1:] != (classes,):
            yield f"{output} has the shape {answer.outputs[output].shape} for {classes} classes"
        elif not np.isfinite(scores).all():
            yield f"{output} contains NaN or Inf"
        elif np.abs(scores.sum(axis=1) - 1).max(initial=0) > _SUM:
            yield f"{output} of a photo do not sum to 1"
        elif answer.damaged(output).any():
            yield f"{output} of a damaged photo are not 0"

    return check


def _label(answer: Answer) -> Iterator[str]:
    names = [answer.expected.classes[index] for index in answer.good(PROBABILITIES).argmax(axis=1)]
    received = [name.decode(errors="replace") for name in answer.good(LABEL).tolist()]
    wrong = [f"{one!r} instead of {other!r}" for one, other in zip(received, names, strict=True) if one != other]
    if wrong:
        yield f"label is {wrong[0]}, the class with the largest probability"
    if any(answer.damaged(LABEL).tolist()):
        yield "a damaged photo has a label"


def _class_index(answer: Answer) -> Iterator[str]:
    if (answer.good(CLASS_INDEX) != answer.good(PROBABILITIES).argmax(axis=1)).any():
        yield "class_index is not the class with the largest probability"
    if (answer.damaged(CLASS_INDEX) != -1).any():
        yield "class_index of a damaged photo is not -1"


def _sure(answer: Answer) -> Iterator[str]:
    largest, threshold = answer.good(PROBABILITIES).max(axis=1, initial=0), answer.expected.threshold or 0.0
    is_clear = np.abs(largest - threshold) > _ROUNDING
    if (answer.good(SURE) != (largest >= threshold))[is_clear].any() or answer.damaged(SURE).any():
        yield f"sure does not say whether the largest probability is at least {threshold:.4f}"


def _familiar(answer: Answer) -> Iterator[str]:
    if not np.isfinite(answer.outputs[FAMILIAR]).all():
        yield "familiar contains NaN or Inf"


def _classes(answer: Answer) -> Iterator[str]:
    names = [name.encode() for name in answer.expected.classes]
    if any(row != names for row in answer.good(CLASSIFY_OUTPUT_CLASSES).tolist()):
        yield "classes are not the classes of the training in their order"
    if any(any(row) for row in answer.damaged(CLASSIFY_OUTPUT_CLASSES).tolist()):
        yield "a damaged photo has classes"


def _sets(answer: Answer) -> Iterator[str]:
    """Compares the sets of the reference photos, except where rounding may decide."""
    if answer.damaged(SIZE).any():
        yield "a damaged photo has a set"
    rows = zip(answer.numbers.tolist(), answer.outputs[LABELS].tolist(), answer.outputs[SIZE].tolist(), strict=True)
    sets = _expected_sets(answer.expected)
    for number, labels, size in rows:
        received = [each.decode(errors="replace") for each in labels[:size]]
        if number < len(sets) and sets[number] and received != sets[number]:
            yield f"a photo has the set {received} instead of {sets[number]}"
            return


def _expected_sets(expected: Expected) -> list[list[str]]:
    """Returns the set of each reference photo, or [] if another last digit may change the set or its order."""
    order, scores = (each.numpy() for each in prediction_sets.ranked(expected.probabilities))
    descending = np.take_along_axis(expected.probabilities, order, axis=1)
    is_near = (np.abs(scores - expected.quantile) < TOLERANCE).any(axis=1)
    inside = scores <= expected.quantile
    gaps = np.where(inside[:, :-1], -np.diff(descending, axis=1), 1.0)
    is_near |= (gaps < TOLERANCE).any(axis=1)
    return [
        [] if near else [expected.classes[index] for index in row[mask]]
        for row, mask, near in zip(order, inside, is_near, strict=True)
    ]


def _pixels(answer: Answer) -> Iterator[str]:
    if not np.isfinite(answer.outputs[PIXELS]).all():
        yield "pixels contain NaN or Inf"
    if answer.damaged(PIXELS).any():
        yield "pixels of a damaged photo are not 0"


# by the name of the output
_CHECKS: dict[str, Callable[[Answer], Iterator[str]]] = {
    STATUS: _status,
    PROBABILITIES: _scores(PROBABILITIES),
    LABEL: _label,
    CLASS_INDEX: _class_index,
    SURE: _sure,
    FAMILIAR: _familiar,
    CLASSIFY_OUTPUT_CLASSES: _classes,
    CLASSIFY_OUTPUT_SCORES: _scores(CLASSIFY_OUTPUT_SCORES),
    LABELS: _sets,
    PIXELS: _pixels,
}
