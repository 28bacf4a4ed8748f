"""Errors that the user can correct; the programs print them without a stack trace and exit with code 2."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """An error that the user can correct. The text says what was expected, what was received and what to do."""


_LONGEST = 200  # characters
_MOST_NAMES, _CLOSEST = 30, 5  # with more valid names, an error lists the closest ones


def shortened(text: str) -> str:
    """Returns the first 200 characters of a text, with … if it is longer."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def quoted(value: object) -> str:
    """Returns the repr of a value, shortened."""
    return shortened(repr(value))


def choices(received: str, valid: Iterable[str]) -> str:
    """Returns the end of an error about an unknown name: the closest valid name, if any, and all valid names.

    Of more than 30 valid names, it has the closest five and the number of the others.
    """
    close = difflib.get_close_matches(received, names := list(valid), n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    if len(names) <= _MOST_NAMES:
        return f"{hint}expected one of: {', '.join(names)}"
    listed = ", ".join(difflib.get_close_matches(received, names, n=_CLOSEST, cutoff=0.0))
    return f"{hint}expected one of {len(names):,} names, such as {listed}, and {len(names) - _CLOSEST:,} more"


@contextmanager
def collect_errors(problems: list[str]) -> Iterator[None]:
    """Catches a UserError or OSError and appends its text to `problems`, so that all problems are reported at once."""
    try:
        yield
    except UserError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"cannot read or write {error.filename}: {error.strerror}" if error.filename else str(error))
