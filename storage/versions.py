"""The folders of a model's versions, as Pusher writes and TensorFlow Serving reads them: `runs/pushed/NAME/NUMBER`."""

LAST = "saved_model.pb"  # Pusher copies it last: a version without it is not complete
DIGITS = 18  # of a number: ML Metadata and TensorFlow Serving have 64 bits


def number_of(name: str) -> int | None:
    """Returns the number of a version, given the name of its folder; None for other names.

    >>> number_of("17"), number_of("v17"), number_of("9" * 20)
    (17, None, None)
    """
    return int(name) if name.isascii() and name.isdecimal() and len(name) <= DIGITS else None
