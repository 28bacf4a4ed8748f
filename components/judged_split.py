"""The split that the gate judges: `test` if the examples have it, otherwise `eval`.

The Trainer and the Tuner always use `eval`, which chooses the epoch. Small data sets have no `test` split.
"""

from collections.abc import Collection

from ingest.split_names import EVAL, TEST

PROPERTY = "judged_split"  # of an evaluation; missing if an early version wrote it: the split was EVAL

_REUSED = (
    "The data has no test split: the epoch was chosen on the photos that it is judged on, so the accuracy on other "
    "photos may be lower. For a test split, add photos, or split by record (data.split: hash, with data.test_fraction "
    "above 0). If the photos came in folders train/ and val/, put all photos into class folders without train/ and "
    "val/."
)

SAME_PHOTOS = "Chosen on the same photos, so these values are too good."
_SAME_PHOTOS_OF_PROBE = (
    "Calibration, thresholds and prediction sets were chosen on the same photos, so their values are too good."
)


def judged_split(splits: Collection[str]) -> str:
    """Returns the split that the Evaluator judges, given the names of the examples' splits.

    >>> judged_split(["train", "eval", "test"]), judged_split(["train", "eval"])
    ('test', 'eval')
    """
    return TEST if TEST in splits else EVAL


def recorded(value: str | None) -> str:
    """Returns the judged split for the value of an evaluation's PROPERTY, which may be missing or empty."""
    return value or EVAL


def notice(judged: str, epochs: int) -> str:
    """Returns a notice if the judged split also chose one of the epochs, otherwise ''; a probe has 0 epochs."""
    return _REUSED if judged == EVAL and epochs else ""


def too_good(judged: str, epochs: int) -> str:
    """Returns which values are too good because the judged split also chose something, otherwise ''.

    >>> too_good("eval", 3), too_good("test", 3)
    ('Chosen on the same photos, so these values are too good.', '')
    """
    if judged != EVAL:
        return ""
    return SAME_PHOTOS if epochs else _SAME_PHOTOS_OF_PROBE  # its layer does not use the eval split
