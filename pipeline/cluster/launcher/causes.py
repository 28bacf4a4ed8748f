"""Finds the error that ended a task in the task's log."""

import re
from pathlib import Path

from errors import shortened

_ERROR = re.compile(r"([A-Za-z_]\w*\.)*[A-Z]\w*(Error|Exception|Failed|Refused)\b")  # the end of a stack trace


def last_error(log: Path, start: int = 0) -> str:
    """Returns the last error in a log after its first `start` bytes, without Beam's list of steps; '' if none."""
    text = log.read_bytes()[start:].decode(errors="replace") if log.exists() else ""
    error = next((each for each in reversed(text.splitlines()) if _ERROR.match(each)), "")
    return shortened(error.split(" [while running")[0])
