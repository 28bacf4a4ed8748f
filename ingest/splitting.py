"""Plans the split of photos by their content, so that adding photos does not move one from training to evaluation."""

import hashlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from errors import UserError
from ingest.names import printable
from ingest.split_names import EVAL, SPLITS, TEST, TRAIN

_FOR_THREE = 3  # different photos of each class: one for each split
_FEW = 5  # photos of a class in eval or test: with fewer, one photo changes the recall by more than the gate's 0.2
_LISTED = 5  # classes in a notice
_TWO_SPLITS = (
    "two splits, train and eval: the model is judged on the photos that calibrate its probabilities and, in a training "
    "with epochs, choose the epoch"
)


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

    If the layout gives splits, they are kept. If it gives `train` and `test` only, photos for `eval` are taken from
    `train`. Photos without a split get a number from 0 to 1, by the digest and the seed: below `fractions.test +
    fractions.eval` the photo is held out, else in `train`. The held-out photos of each class are divided between `test`
    and `eval` in the ratio of the fractions. Each split has a photo of each class; if a class has fewer than three
    different photos, there is no `test`.

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
    left_out = {photo for photo in photos if photo.split not in (None, chosen[photo.digest])}
    if EVAL not in chosen.values():
        taken, notices = _eval_from_train(copies, chosen, fractions, seed)
        chosen |= taken
    left_out |= {
        photo for photo in photos if chosen[photo.digest] != TRAIN and not _has_one_label(copies[photo.digest])
    }
    planned = [None if photo in left_out else chosen[photo.digest] for photo in photos]
    _check_complete(photos, planned)
    notices = [*_copies(copies, left_out), *notices, *([] if TEST in planned else [_TWO_SPLITS])]
    return Plan(planned, notices)


def number(digest: bytes, seed: int) -> float:
    """Returns the number from 0 to 1, uniformly distributed, that decides the split of photos with this digest."""
    hashed = hashlib.blake2b(digest, digest_size=8, key=seed.to_bytes(8, "big"), person=b"split").digest()
    return int.from_bytes(hashed, "big") / 2**64


def _by_digest(copies: _Copies, fractions: Fractions, seed: int) -> tuple[dict[bytes, str], list[str]]:
    numbers = {digest: number(digest, seed) for digest in copies}
    classes: dict[str, list[bytes]] = {photo.label: [] for same in copies.values() for photo in same}
    for digest in sorted(copies, key=numbers.__getitem__):
        if _has_one_label(copies[digest]):
            classes[copies[digest][0].label].append(digest)
    _check_sizes(classes)
    few = sorted(name for name, found in classes.items() if len(found) < _FOR_THREE) if fractions.test else []
    chosen = {digest: TRAIN if numbers[digest] >= sum(fractions) else EVAL for digest in copies}
    forced: dict[str, list[str]] = {TRAIN: [], EVAL: []}
    for found in classes.values():
        below = bisect_left(found, sum(fractions), key=numbers.__getitem__)
        tested, held_out = _held_out(len(found), below, fractions)
        for index, digest in enumerate(found):
            chosen[digest] = TEST if index < tested and not few else EVAL if index < held_out else TRAIN
            if (index < below) != (index < held_out):
                forced[EVAL if index < held_out else TRAIN].append(copies[digest][0].name)
    notices = [*_forced(forced), *([_no_test(few, classes)] if few else [])]
    return chosen, [*notices, *_few_held_out(copies, chosen, {*classes} - {*few}, fractions)]


def _held_out(photos: int, below: int, fractions: Fractions) -> tuple[int, int]:
    """Returns the number of a class's photos in `test`, and in `test` and `eval` together.

    The second number follows from the number of each photo alone, unless a split would have no photo of the class.

    Args:
      photos: the different photos of the class, at least 2.
      below: those whose number is below the sum of the fractions.
      fractions: for `eval` and `test`; with 0 for `test`, there is none.
    """
    held_out = min(max(2 if fractions.test else 1, below), photos - 1)
    tested = round(held_out * fractions.test / sum(fractions))
    return min(max(1, tested), held_out - 1) if fractions.test else 0, held_out


def _forced(photos: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns notices on photos that are in `eval` or `test`, or in `train`, because their class has few photos."""
    uses = {EVAL: ("evaluation", "training"), TRAIN: ("training", "evaluation")}
    return [
        f"classes with few photos: used for {uses[split][0]} although their share is smaller, and may move to "
        f"{uses[split][1]} when photos are added: {', '.join(map(printable, names))}"
        for split, names in photos.items()
        if names
    ]


def _no_test(few: Sequence[str], classes: Mapping[str, Sequence[bytes]]) -> str:
    counts = [f"{printable(name)} ({len(classes[name])})" for name in few]
    return (
        f"no test split, because each class needs {_FOR_THREE} different photos, one for each of train, eval and test; "
        f"received fewer of {_listed(counts)}. Add photos of these classes, or drop or merge these classes (--edits); "
        "their photos may then move to other splits"
    )


def _few_held_out(
    copies: _Copies, chosen: Mapping[bytes, str], classes: Collection[str], fractions: Fractions
) -> list[str]:
    """Returns a notice on classes with fewer than _FEW photos in `eval` or `test`."""
    held_out = {digest: split for digest, split in chosen.items() if split != TRAIN and _has_one_label(copies[digest])}
    counts = Counter((copies[digest][0].label, split) for digest, split in held_out.items())
    few = [
        f"{printable(name)} ({count} in {split})"
        for (name, split), count in sorted(counts.items())
        if name in classes and count < _FEW
    ]
    larger = "larger --test-fraction and --eval-fraction" if fractions.test else "a larger --eval-fraction"
    text = (
        f"fewer than {_FEW} photos of a class in a split, so that its recall is a rough estimate: {_listed(few)}. Add "
        f"photos, or set {larger}"
    )
    return [text] if few else []


def _by_layout(copies: _Copies) -> dict[bytes, str]:
    """Returns the last of the splits that contain a copy of each photo, so that no photo is both learned and judged."""
    return {digest: max((str(photo.split) for photo in same), key=SPLITS.index) for digest, same in copies.items()}


def _eval_from_train(
    copies: _Copies, chosen: Mapping[bytes, str], fractions: Fractions, seed: int
) -> tuple[dict[bytes, str], list[str]]:
    """Divides the photos of `train` into `train` and `eval`; if a class has too few, `test` is used as `eval`."""
    training = {digest: same for digest, same in copies.items() if chosen[digest] == TRAIN}
    different = Counter(same[0].label for same in training.values() if _has_one_label(same))
    if min((different[photo.label] for same in copies.values() for photo in same), default=0) < 2:
        return {digest: EVAL for digest, split in chosen.items() if split == TEST}, []
    taken, notices = _by_digest(training, Fractions(fractions.eval, 0), seed)
    held_out = sum(
        len(training[each]) for each, split in taken.items() if split == EVAL and _has_one_label(copies[each])
    )
    return taken, [*notices, f"eval was not given: {held_out:,} photos of train are in eval (--eval-fraction)"]


def _has_one_label(same: Sequence[Photo]) -> bool:
    return len({photo.label for photo in same}) == 1


def _copies(copies: _Copies, all_left_out: Collection[Photo]) -> list[str]:
    """Returns notices on copies: their number, and the names of those with several labels or in several splits."""
    count = sum(len(same) - 1 for same in copies.values())
    copies_of = "exact copy of another photo" if count == 1 else "exact copies of other photos"
    notices = [f"{count:,} {copies_of}; copies are in one split"] if count else []
    for digest, same in copies.items():
        left_out = [photo for photo in same if photo in all_left_out]
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
