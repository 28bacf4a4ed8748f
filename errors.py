"""Errors that the user can correct: one line, exit code 2, no stack trace."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """What was asked for cannot be done. The text says what was expected, what came and what to do."""


_LONGEST = 200  # characters


def shortened(text: str) -> str:
    """Returns what an error repeats of its input: at most 200 characters, and … where more were cut."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def quoted(value: object) -> str:
    """Returns the repr of a value, shortened."""
    return shortened(repr(value))


@contextmanager
def collect_errors(problems: list[str]) -> Iterator[None]:
    """Appends the text of a UserError or OSError to `problems`, so that all problems are reported at once."""
    try:
        yield
    except UserError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"cannot read or write {error.filename}: {error.strerror}" if error.filename else str(error))
