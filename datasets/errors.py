"""The error that is meant for the person who started the run, and how much of the input it repeats."""


class UserError(Exception):
    """What was asked for cannot be done. The text says what was expected, what came and what to do."""


_LONGEST = 200  # characters


def shortened(text: str) -> str:
    """Returns what an error repeats of its input: at most 200 characters, and … where more were cut."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def quoted(value: object) -> str:
    """Returns the repr of a value, shortened."""
    return shortened(repr(value))
