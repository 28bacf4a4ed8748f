"""The kinds of flags of `python -m ingest NAME`, and how argparse reads each. Imports only the standard library."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from storage import uris


class Number(NamedTuple):
    """A flag that takes a whole number from `low` to `high`."""

    low: int
    high: int
    default: int
    help: str

    def arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments of `add_argument`."""
        parse = _in_range(int, "a whole number", self.low, self.high)
        return {"type": parse, "default": self.default, "help": f"{self.help} ({self.default})"}


class Fraction(NamedTuple):
    """A flag that takes a number from `low` to `high`; without the flag the value is None, which means `default`."""

    low: float
    high: float
    default: float
    help: str

    def arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments of `add_argument`."""
        parse = _in_range(float, "a number", self.low, self.high)
        return {"type": parse, "help": f"{self.help} ({self.default:g})"}


class Choice(NamedTuple):
    """A flag that takes one of several words; without the flag the value is `default`."""

    values: Sequence[str]
    default: str | None
    help: str

    def arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments of `add_argument`."""
        meaning = f"{self.help} ({self.default})" if self.default else self.help
        return {"choices": list(self.values), "default": self.default, "help": meaning}


class Switch(NamedTuple):
    """A flag without a value: True if given, otherwise False."""

    help: str

    def arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments of `add_argument`."""
        return {"action": "store_true", "help": self.help}


class Text(NamedTuple):
    """A flag that takes any text; without the flag the value is None."""

    metavar: str
    help: str

    def arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments of `add_argument`."""
        return {"metavar": self.metavar, "help": self.help}


class File(NamedTuple):
    """A flag that takes the path of a file or a folder, as a Path; without the flag the value is None."""

    metavar: str
    help: str
    required: bool = False

    def arguments(self) -> dict[str, Any]:
        """Returns the keyword arguments of `add_argument`."""
        return {"type": uris.local_path, "metavar": self.metavar, "help": self.help, "required": self.required}


Flag = Number | Fraction | Choice | Switch | Text | File


def _in_range(kind: Callable[[str], float], name: str, low: float, high: float) -> Callable[[str], float]:
    def in_range(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected {name} from {low} to {high}, received {text!r}")
        return value

    return in_range
