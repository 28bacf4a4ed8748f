"""Plans the split of photos by their content, so that adding photos does not move one from training to evaluation."""

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from errors import UserError
from ingest.names import printable
from ingest.split_names import EVAL, SPLITS, TEST, TRAIN

_FOR_THREE = 2  # held-out photos of each class: one for eval and one for test
_LISTED = 5  # classes in a notice
_TWO_SPLITS = "two splits, train and eval: the epoch is chosen on the photos that the model is judged on"


class Photo(NamedTuple):
    """What the split of a photo depends on: its class, its digest, and the split that its layout gives, if any."""

    name: str
    label: str
    digest: bytes
    split: str | None = None


class Fractions(NamedTuple):
    """The fractions of the photos for `eval`, which chooses the epoch, and for `test`, which the gate judges."""

    eval: float
    test: float


class Plan(NamedTuple):
    """The split of each photo, None for a photo that is left out, and notices to print."""

    splits: list[str | None]
    notices: list[str]


_Copies = Mapping[bytes, Sequence[Photo]]  # photos by digest


def plan(photos: Sequence[Photo], fractions: Fractions, seed: int) -> Plan:
    """Assigns each photo to `train`, `eval` or `test`, or leaves it out.

    If the layout gives splits, they are kept. Otherwise the digest and the seed give a number from 0 to 1: below
    `fractions.test` the photo is in `test`, below `fractions.test + fractions.eval` in `eval`, else in `train`. If a
    class has fewer than two photos for `eval` and `test`, there is no `test`.

    Copies, photos with one digest, are in one split. Copies with different labels are never in `eval` or `test`.

    Args:
      photos: all photos; either all have a split or none has.
      fractions: for photos without a split.
      seed: for photos without a split.

    Raises:
      UserError: when a class lacks photos for training or evaluation.
    """
    copies: dict[bytes, list[Photo]] = defaultdict(list)
    for photo in photos:
        copies[photo.digest].append(photo)
    if photos[0].split is None:
        chosen, notices = _by_digest(copies, fractions, seed)
    else:
        chosen, notices = _by_layout(copies), []
    for digest, same in copies.items():
        if not _has_one_label(same) and chosen[digest] != TRAIN:
            del chosen[digest]
    planned = _named([_split(photo, chosen) for photo in photos])
    _check_complete(photos, planned)
    notices = [*_copies(copies, chosen), *notices, *([] if TEST in planned else [_TWO_SPLITS])]
    return Plan(planned, notices)


def number(digest: bytes, seed: int) -> float:
    """Returns the number from 0 to 1, uniformly distributed, that decides the split of photos with this digest."""
    hashed = hashlib.blake2b(digest, digest_size=8, key=seed.to_bytes(8, "big"), person=b"split").digest()
    return int.from_bytes(hashed, "big") / 2**64


def _by_digest(copies: _Copies, fractions: Fractions, seed: int) -> tuple[dict[bytes, str], list[str]]:
    numbers = {digest: number(digest, seed) for digest in copies}
    both = fractions.test + fractions.eval
    ordered = sorted(copies, key=numbers.__getitem__)
    classes: dict[str, list[bytes]] = {photo.label: [] for same in copies.values() for photo in same}
    for digest in ordered:
        if _has_one_label(copies[digest]):
            classes[copies[digest][0].label].append(digest)
    _check_sizes(classes)

    def below(digests: Sequence[bytes], fraction: float) -> int:
        return bisect_left(digests, fraction, key=numbers.__getitem__)

    held_out = {name: min(max(1, below(found, both)), len(found) - 1) for name, found in classes.items()}
    notices = [
        _forced(name, copies[found[min(below(found, both), held_out[name])]][0], held_out[name] > below(found, both))
        for name, found in classes.items()
        if held_out[name] != below(found, both)
    ]
    few = sorted(printable(name) for name, count in held_out.items() if count < _FOR_THREE)
    if few and fractions.test:
        notices.append(f"no test split, because these classes have few photos: {_listed(few)}")
    chosen = {digest: TRAIN if numbers[digest] >= both else EVAL for digest in copies}
    for name, found in classes.items():
        tested = min(max(1, below(found, fractions.test)), held_out[name] - 1) if fractions.test and not few else 0
        for index, digest in enumerate(found):
            chosen[digest] = TEST if index < tested else EVAL if index < held_out[name] else TRAIN
    return chosen, notices


def _forced(label: str, photo: Photo, is_held_out: bool) -> str:
    where, later = ("evaluation", "training") if is_held_out else ("training", "evaluation")
    return (
        f"class {printable(label)} has few photos: {printable(photo.name)} is used for {where}, and may move to "
        f"{later} when photos are added"
    )


def _by_layout(copies: _Copies) -> dict[bytes, str]:
    """Returns the last of the splits that contain a copy of each photo, so that no photo is both learned and judged."""
    return {digest: max((str(photo.split) for photo in same), key=SPLITS.index) for digest, same in copies.items()}


def _has_one_label(same: Sequence[Photo]) -> bool:
    return len({photo.label for photo in same}) == 1


def _split(photo: Photo, chosen: Mapping[bytes, str]) -> str | None:
    split = chosen.get(photo.digest)
    return split if photo.split in (None, split) else None


def _named(splits: Sequence[str | None]) -> list[str | None]:
    """Returns the splits with `eval` instead of `test` if there is no `eval`."""
    return list(splits) if EVAL in splits else [EVAL if split == TEST else split for split in splits]


def _copies(copies: _Copies, chosen: Mapping[bytes, str]) -> list[str]:
    """Returns notices on copies: their number, and the names of those with several labels or in several splits."""
    count = sum(len(same) - 1 for same in copies.values())
    notices = [f"{count:,} exact copies of other photos; copies are in one split"] if count else []
    for digest, same in copies.items():
        left_out = [photo for photo in same if _split(photo, chosen) is None]
        if not _has_one_label(same):
            used = "left out" if left_out else "used for training only"
            notices.append(f"one photo with several labels, {used}: {_names(same)}; digest {digest.hex()}")
        elif left_out:
            (kept, *_) = [photo for photo in same if photo not in left_out]
            notices.append(f"left out as copies of {printable(kept.name)} in {kept.split}: {_names(left_out)}")
    return notices


def _names(photos: Iterable[Photo]) -> str:
    return ", ".join(printable(f"{photo.name} ({photo.label})") for photo in photos)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" * (len(names) > _LISTED))


def _check_sizes(classes: Mapping[str, Sequence[bytes]]) -> None:
    too_few = [f"{printable(name)}: {len(found)}" for name, found in sorted(classes.items()) if len(found) < 2]
    if too_few:
        raise UserError(
            "expected at least 2 different photos in each class, one for training and one for evaluation; "
            f"received {', '.join(too_few)}, without photos that are also in another class. Add photos, or leave the "
            "class out"
        )


def _check_complete(photos: Sequence[Photo], planned: Sequence[str | None]) -> None:
    """Checks that each split has photos of each class, which a layout's own splits need not have."""
    found = {(split, photo.label) for photo, split in zip(photos, planned, strict=True)}
    splits = [split for split in SPLITS if split in planned or split != TEST]
    missing = [
        f"none of {printable(name)} in {split}"
        for name in sorted({photo.label for photo in photos})
        for split in splits
        if (split, name) not in found
    ]
    if missing:
        raise UserError(
            f"expected photos of each class in each split; received {_listed(missing)}. Add photos, or leave the class "
            "out"
        )
