"""Decides what to report about photos that are measured."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ingest.checking import duplicates
from ingest.checking.items import Item
from ingest.checking.measures import HASH_SIDE, Measures
from ingest.names import alike, printable_class

# The defaults of cleanvision 0.3 (github.com/cleanlab/cleanvision) for the same measures.
_DARK, _BRIGHT, _BLURRED, _ODD_SHAPE = 0.32, 0.95, 0.29, 0.35
# Measured on the 3,670 photos of flowers: all 24 pairs at a distance of up to 6 show the same photo or the same scene;
# at 8, 2 of 4 pairs do not.
_NEAR = 6  # bits of 64
_FEWEST = 3  # photos of a class: one for each split


class Finding(NamedTuple):
    """Photos that a person should look at.

    Attributes:
      title: what is found, in the plural.
      note: what it means, or the threshold.
      groups: the photos' indices; copies are in one group.
      decide: whether it must be decided before a training.
    """

    title: str
    note: str
    groups: list[list[int]]
    decide: bool = False

    @property
    def photos(self) -> int:
        """The number of photos."""
        return sum(map(len, self.groups))


def find(items: Sequence[Item], measures: Sequence[Measures]) -> list[Finding]:
    """Returns the findings, those that must be decided first; findings without photos are included."""
    copies = duplicates.groups(duplicates.equal_pairs([each.digest for each in measures]), len(items))
    near = _near(measures)
    return [
        Finding(
            "copies under several labels",
            "At most one label is right. ingest photos leaves all of them out of eval and test.",
            [group for group in copies if _differ(items[i].label for i in group)],
            decide=True,
        ),
        Finding(
            "copies in several splits",
            "The model is judged on photos that it was trained on.",
            [group for group in copies if _differ(items[i].split for i in group)],
            decide=True,
        ),
        Finding("copies", "The same pixels. Copies weigh more in the training than other photos.", copies),
        Finding(
            "nearly equal photos under several labels",
            f"Perceptual hashes that differ in at most {_NEAR} of 64 bits, for example after resizing or a filter.",
            [group for group in near if _differ(items[i].label for i in group)],
        ),
        Finding(
            "nearly equal photos in several splits",
            "If these show the same scene, the accuracy is too high.",
            [group for group in near if _differ(items[i].split for i in group)],
        ),
        Finding(
            "nearly equal photos",
            f"Not searched among photos with a side below {HASH_SIDE} pixels or of one colour.",
            near,
        ),
        *_outliers(measures),
    ]


def _outliers(measures: Sequence[Measures]) -> list[Finding]:
    """Returns dark, bright, blurred and oddly shaped photos, the most extreme first."""
    shapes = [min(each.width, each.height) / max(each.width, each.height) for each in measures]
    rows = [
        ("dark photos", f"99 % of the pixels are below a brightness of {_DARK} (0 to 1).", "brightest", _DARK),
        ("bright photos", f"95 % of the pixels are above a brightness of {_BRIGHT}.", "darkest", _BRIGHT),
        (
            "blurred photos",
            f"A sharpness below {_BLURRED} (0 to 1), also of a blurred background.",
            "sharpness",
            _BLURRED,
        ),
    ]
    found = []
    for title, note, name, limit in rows:
        sign = -1 if name == "darkest" else 1
        values = sign * np.array([getattr(each, name) for each in measures])
        found.append(Finding(title, note, _below(values, sign * limit)))
    note = f"The short side is less than {_ODD_SHAPE} of the long side, so a square crop leaves out most of the photo."
    return [*found, Finding("narrow photos", note, _below(np.array(shapes), _ODD_SHAPE))]


def _below(values: np.ndarray, limit: float) -> list[list[int]]:
    return [[index] for index in np.argsort(values, kind="stable").tolist() if values[index] < limit]


def _near(measures: Sequence[Measures]) -> list[list[int]]:
    """Returns groups of nearly equal photos. Of copies, only the first photo is in a group."""
    first: dict[bytes, int] = {}
    for index, each in enumerate(measures):
        if each.hash is not None:
            first.setdefault(each.digest, index)
    rows = np.array(list(first.values()), np.int64)
    hashes = np.array([measures[index].hash for index in rows], np.uint64)
    return duplicates.groups(rows[duplicates.near_pairs(hashes, _NEAR)], len(measures)) if len(rows) else []


def _differ(values: Iterable[str | None]) -> bool:
    return len(set(values)) > 1


def class_problems(items: Sequence[Item], labels: Iterable[str]) -> list[str]:
    """Returns the classes with too few photos, and the classes that a split lacks; `labels` may have no photo."""
    totals = Counter(item.label for item in items)
    only = next(iter(totals)) if len(totals) == 1 else None
    totals.update(dict.fromkeys(labels, 0))
    problems = [
        f"{printable_class(label)}: {count} of at least {_FEWEST} photos"
        for label, count in totals.items()
        if count < _FEWEST
    ]
    if only is not None:
        problems.append(f"{printable_class(only)}: the only class")
    present = {(item.split, item.label) for item in items}
    for split in sorted({item.split for item in items if item.split}):
        problems += [
            f"{printable_class(label)}: no photo in {split}" for label in totals if (split, label) not in present
        ]
    return sorted(problems)


def numbered_differently(items: Sequence[Item]) -> list[str]:
    """Returns the class indices that have several names, and the names with several indices, each with a file."""
    pairs: dict[tuple[int, str], str] = {}
    for item in items:
        if item.number is not None:
            pairs.setdefault((item.number, item.label), f"{item.path.parent.name}/{item.path.name}")
    found = []
    for side in (0, 1):
        several: dict[object, list[str]] = {}
        for pair, file in sorted(pairs.items()):
            several.setdefault(pair[side], []).append(f"{pair[0]} is {printable_class(pair[1])} in {file}")
        found += [f"class {' and '.join(texts)}" for texts in several.values() if len(texts) > 1]
    return list(dict.fromkeys(found))


def alike_classes(items: Sequence[Item]) -> list[str]:
    """Returns the groups of classes whose names are nearly the same; see `ingest.names.alike`."""
    return [", ".join(map(printable_class, group)) for group in alike({item.label for item in items})]
