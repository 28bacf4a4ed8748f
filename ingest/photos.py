"""Converts labelled photos to TFRecords: encodes each photo once, plans the split of all of them, then writes shards.

Until the split is planned, the encoded photos are in a temporary file, and memory holds only an index of them.
"""

import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from errors import UserError
from ingest import decoding, encoding, label_edits, layouts, names, output, photo_shards, splitting
from ingest.layouts import Entry
from ingest.layouts.entries import first_skipped
from ingest.layouts.tables import header
from ingest.names import printable
from ingest.parallel import Skipped, Workers, workers
from ingest.paths import absolute
from ingest.sources import EVAL_FRACTION, FITS, SIZE, TEST_FRACTION
from ingest.split_names import EVAL, SPLITS, TRAIN
from ingest.splitting import Fractions, Photo
from ingest.spool import Spool

PRESET = "photos-probe"
SMALL_PRESET = "flowers-convnet"  # for photos that the trunk of PRESET does not accept, below _SMALLEST pixels
_SMALLEST = 32
_FEEDBACK = {"predicted", "record"}  # columns of the manifests of `kept_photos`


class Flags(NamedTuple):
    """The flags of the command `photos`, except those of its layout; see `ingest.sources`.

    Attributes:
      size: see `encoding.Options`.
      fit: see `encoding.Options`.
      keep_original: see `encoding.Options`.
      max_megapixels: larger photos are skipped.
      shards: the maximum number of shards; there are fewer if every class has fewer photos.
      eval_fraction: of the photos, see `splitting.plan`; None for the default. It is refused if it has no effect.
      test_fraction: as `eval_fraction`.
      edits: a file of corrected labels, see `label_edits.read`; None for no corrections.
    """

    size: int
    fit: str
    keep_original: bool
    max_megapixels: int
    shards: int
    eval_fraction: float | None
    test_fraction: float | None
    edits: Path | None


def make(source: Path, target: Path, *, seed: int, command: str, **flags: Any) -> output.WrittenDataset:
    """Writes the photos under `source` to `target` as TFRecord shards, with a schema and settings.

    The result is deterministic: it depends on the photos and the arguments only.

    Args:
      source: a folder or a manifest, see `layouts.find`.
      target: a new or empty folder.
      seed: of the split and of the records' order.
      command: recorded in the settings.
      **flags: the fields of `Flags` and of `layouts.Options`.

    Raises:
      UserError: when a class has too few photos, an argument is not valid, or `target` cannot be written.
    """
    source, target, notices = absolute(source), absolute(target), list[str]()
    chosen = Flags(**{name: flags.pop(name) for name in Flags._fields})
    _check_target(source, target)
    corrections = label_edits.read(chosen.edits) if chosen.edits else None
    with workers() as work, decoding.limits(chosen.max_megapixels):
        entries = layouts.find(source, layouts.Options(**flags), work.skipped, notices)
        fractions = _fractions(source, {entry.split for entry in entries}, chosen)
        labels = Counter(entry.label for entry in entries)
        # early, before the photos are decoded; corrections may drop or fill a class
        if corrections:
            label_edits.resolve(corrections, labels)
        else:
            _check_classes(labels, work.skipped)
        with output.dataset_folder(target) as folder, Spool(folder) as spool:
            notices += _encode(entries, chosen, spool, work)
            edited = _correct(corrections, labels, spool, work.skipped)
            plan = splitting.plan([item.photo for item in spool.items], fractions, seed)
            written = photo_shards.write(folder, target.name, spool, plan.splits, chosen.shards, seed)
            output.write_skipped(folder, sorted(work.skipped))
            _write_settings(folder, source, target, command, edited.summary, chosen, written)
    notices += [*edited.notices, *_alike(written.classes), *plan.notices]
    is_feedback = source.is_file() and set(header(source)) >= _FEEDBACK
    return output.WrittenDataset(
        written.classes, written.shards, sorted(work.skipped), notices, written.splits, is_feedback
    )


def _correct(
    corrections: label_edits.Edits | None, labels: Iterable[str], spool: Spool, skipped: Sequence[Skipped]
) -> label_edits.Edited:
    """Applies the corrections to the photos in the spool, and checks the classes that are left."""
    classes = _photos_of_classes(labels, spool)
    edited = label_edits.Edited([], "", [])
    if corrections:
        edited = label_edits.apply(corrections, [item.photo for item in spool.items])
        spool.relabel(edited.labels)
        left = _photos_of_classes(labels, spool)
        classes = {label: left[label] for label in labels if left[label] or not classes[label]}
    _check_classes(classes, skipped)
    return edited


def _write_settings(
    folder: Path,
    source: Path,
    target: Path,
    command: str,
    edits: str,
    chosen: Flags,
    written: photo_shards.Written,
) -> None:
    provenance = "; ".join(filter(None, [printable(command), edits]))
    data = {"classes": list(written.classes), "image_size": chosen.size, "resize": FITS[chosen.fit]}
    preset = PRESET if chosen.size >= _SMALLEST else SMALL_PRESET
    batch = output.fitting_batch(written.splits[TRAIN])
    output.write_settings(folder, source, target, command, data | {"provenance": provenance}, preset, batch)


def _fractions(source: Path, given: Collection[str | None], chosen: Flags) -> Fractions:
    """Returns the fractions, or raises UserError if one is given that has no effect on the splits `given`."""
    splits = [split for split in SPLITS if split in given]
    without_effect = [
        *(["--test-fraction"] if splits and chosen.test_fraction is not None else []),
        *(["--eval-fraction"] if EVAL in splits and chosen.eval_fraction is not None else []),
    ]
    if without_effect:
        gives = "folders give" if source.is_dir() else "manifest gives"
        raise UserError(
            f"{without_effect[0]} is for photos without splits; the {gives} {', '.join(splits)}. Leave the flag out"
        )
    return Fractions(
        EVAL_FRACTION if chosen.eval_fraction is None else chosen.eval_fraction,
        TEST_FRACTION if chosen.test_fraction is None else chosen.test_fraction,
    )


def _check_target(source: Path, target: Path) -> None:
    if target.is_relative_to(source):
        raise UserError(
            f"{printable(target)} (--to) is inside the photo folder, where it would become a class; "
            "give a folder outside it"
        )
    output.check_free(target)


def _check_classes(photos: Mapping[str, int], skipped: Sequence[Skipped]) -> None:
    """Raises UserError if there are fewer than two classes, or a class has fewer than two photos."""
    counts = [f"{printable(name)}: {count}" for name, count in sorted(photos.items())]
    if sum(map(bool, photos.values())) < 2:
        raise UserError(
            f"expected photos of at least two classes, received {', '.join(counts) or 'none'}{first_skipped(skipped)}"
        )
    too_few = [text for text, (_, count) in zip(counts, sorted(photos.items()), strict=True) if count < 2]
    if too_few:
        raise UserError(
            "expected at least 2 readable photos in each class, one for training and one for evaluation; "
            f"received {', '.join(too_few)}. Add photos, or leave the class out{first_skipped(skipped)}"
        )


def _alike(classes: Iterable[str]) -> list[str]:
    groups = [", ".join(map(names.printable_class, group)) for group in names.alike(classes)]
    return [f"separate classes with nearly the same name: {group}; rename them if they are one" for group in groups]


def _photos_of_classes(labels: Iterable[str], spool: Spool) -> dict[str, int]:
    counts = Counter(item.photo.label for item in spool.items)
    return {label: counts[label] for label in labels}


def _encode(entries: list[Entry], chosen: Flags, spool: Spool, work: Workers) -> list[str]:
    """Encodes the photos into the spool and empties `entries`; returns notices on truncated and small ones."""
    truncated, sides = [], Counter[int]()
    encode = partial(encoding.encode, options=encoding.Options(chosen.size, chosen.fit, chosen.keep_original))
    task = work.task("encoding photos", len(entries))
    entries.reverse()
    for entry, encoded in work.map(task, encode, (entries.pop() for _ in range(len(entries)))):
        spool.add(Photo(entry.name, entry.label, encoded.digest, entry.split), encoded.content, encoded.size)
        sides[encoded.longer_side] += 1
        if encoded.truncated is not None:
            truncated.append(f"{printable(entry.name)} ({encoded.truncated:.0%})")
    listed = ", ".join(truncated)
    notices = [f"truncated JPEGs, used with the fraction of their rows: {listed}"] if truncated else []
    return [*notices, *_enlarged(sides, chosen.size)]


def _enlarged(sides: Counter[int], size: int) -> list[str]:
    """Returns a notice if half of the photos, counted by their longer side, are less than half as large as `size`."""
    median = statistics.median_low(sides.elements()) if sides else size
    if 2 * median >= size:
        return []
    return [
        f"half of the photos have at most {median} pixels on their longer side, and are enlarged to {size} (--size); "
        f"--size {max(median, SIZE.low)} fits them"
    ]
