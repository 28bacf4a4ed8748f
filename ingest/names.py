"""Names of runs; the cache, the baseline and pushed models are stored by name."""

import hashlib
from pathlib import Path

MAX_LENGTH = 60  # the limit of the setting `name`
_DIGITS = 8


def run_name(source: Path) -> str:
    """Returns the name for runs on a data folder: the folder's name and a digest of its absolute path.

    The digest distinguishes `pets/data` from `flowers/data` (issue 11). The name does not depend on the content.

    >>> run_name(Path("/pets/data")), run_name(Path("/flowers/data"))
    ('data-5fbed134', 'data-8f29f532')
    """
    digest = hashlib.sha256(str(source).encode("utf-8", "surrogateescape")).hexdigest()[:_DIGITS]
    return f"{safe_name(source.name)[: MAX_LENGTH - _DIGITS - 1]}-{digest}"


def safe_name(name: str) -> str:
    """Returns a name with only the characters that a run's name may have: a-z, 0-9, `-` and `_`."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in name.lower())
    return kept.strip("-_")[:MAX_LENGTH] or "photos"
