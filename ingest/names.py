"""The names of runs, by which their cache, baseline and pushed models are kept."""

import hashlib
from pathlib import Path

MAX_LENGTH = 60  # what the settings take
_DIGITS = 8


def run_name(source: Path) -> str:
    """Returns the name of runs on the data of a folder: its last name and a digest of its absolute path.

    Runs on `pets/data` and `flowers/data` are kept apart by it (issue 11). A folder that grows keeps its name.

    >>> run_name(Path("/pets/data")), run_name(Path("/flowers/data"))
    ('data-5fbed134', 'data-8f29f532')
    """
    digest = hashlib.sha256(str(source).encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]
    return f"{safe_name(source.name)[: MAX_LENGTH - _DIGITS - 1]}-{digest}"


def safe_name(name: str) -> str:
    """Returns a folder's name with only what a run's name may hold: a-z, 0-9, `-` and `_`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name.lower())
    return kept.strip("-_")[:MAX_LENGTH] or "photos"
