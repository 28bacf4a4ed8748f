"""Converts a folder of photos, one subfolder per class, to TFRecords: checks headers, assigns shards, then encodes.

It holds all paths in memory, but only a few decoded photos.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from errors import UserError
from ingest import class_folders, decoding, layouts, output
from ingest.names import safe_name
from ingest.parallel import Photo, Skipped, Workers, workers
from ingest.paths import absolute
from ingest.record_file import write_record

PRESET = "flowers-convnet"  # accepts photos of every size


def make(
    source: Path, target: Path, size: int, shards: int, seed: int, command: str, **layout: Any
) -> output.WrittenDataset:
    """Writes the photos under `source` to `target` as TFRecord shards, with a schema and settings.

    The result is deterministic: it depends on the photos, `size`, `shards` and `seed` only.

    Args:
      source: a folder with one subfolder per class, named after the class.
      target: a new or empty folder.
      size: height and width of the cropped photos, in pixels.
      shards: the maximum number of shards; there are fewer if every class has fewer photos.
      seed: the seed of the shuffle.
      command: recorded in the settings.
      **layout: the fields of `layouts.Options`.

    Raises:
      UserError: when fewer than two classes have photos, or `target` cannot be written.
    """
    source, target = absolute(source), absolute(target)
    if target.is_relative_to(source):
        raise UserError(
            f"{output.printable(target)} (--to) is inside the photo folder, where it would become a class; "
            "give a folder outside it"
        )
    output.check_free(target)
    with workers() as work:
        files: dict[str, list[Path]] = {}
        for entry in layouts.find(source, layouts.Options(**layout), work.skipped):
            files.setdefault(entry.label, []).append(entry.path)
        files = dict(sorted(files.items()))
        photos = _photos_of(files, work)
        classes = class_folders.check_classes(files, photos, work.skipped)
        assigned = class_folders.assign_shards([photos[name] for name in classes], shards, seed)
        with output.dataset_folder(target) as folder:
            written = _write(folder, assigned, classes, size, work)
            _check_written(written, classes, work.skipped)
            _rename(folder, safe_name(target.name), [counts.total() for counts in written])
            output.write_settings(folder, source, target, command, {"classes": classes, "image_size": size}, PRESET)
    total = sum(written, Counter[int]())
    counts = {name: total[label] for label, name in enumerate(classes)}
    return output.WrittenDataset(counts, sum(1 for each in written if each), sorted(work.skipped))


def _photos_of(files: Mapping[str, Sequence[Path]], work: Workers) -> dict[str, list[Path]]:
    """Returns the files of each class that have the header of a photo."""
    names = list(files)
    candidates = [Photo(path, label) for label, name in enumerate(names) for path in files[name]]
    found: dict[str, list[Path]] = {name: [] for name in names}
    for photo, _ in work.map(work.task("looking for photos", len(candidates)), decoding.check_header, candidates):
        found[names[photo.label]].append(photo.path)
    return found


def _write(
    folder: Path, assigned: Sequence[Sequence[Photo]], classes: Sequence[str], size: int, work: Workers
) -> list[Counter[int]]:
    """Writes the shards under temporary names; returns the number of photos of each class in each shard."""
    from ingest.examples import make_example

    task = work.task("writing shards", sum(map(len, assigned)))
    encode = partial(decoding.square_jpeg, size=size)
    written = []
    for index, shard in enumerate(assigned):
        counts: Counter[int] = Counter()
        with _temporary(folder, index).open("wb") as file:
            for photo, jpeg in work.map(task, encode, shard):
                example = make_example(jpeg, photo.label, classes, (size, size))
                write_record(file, example.SerializeToString(deterministic=True))
                counts[photo.label] += 1
        written.append(counts)
    return written


def _check_written(written: Sequence[Counter[int]], classes: Sequence[str], skipped: Sequence[Skipped]) -> None:
    """Raises UserError if a class is not in two shards, because too many of its photos could not be decoded."""
    shards = {name: sum(1 for counts in written if counts[label]) for label, name in enumerate(classes)}
    too_few = [name for name, count in shards.items() if count < 2]
    if too_few:
        raise UserError(
            "expected photos for training and evaluation in each class; too few can be decoded in the class folders "
            f"{', '.join(too_few)}; add photos, or move the folders away{class_folders.first(skipped)}"
        )


def _rename(folder: Path, stem: str, counts: Sequence[int]) -> None:
    """Renames the shards to names with their number of records, and deletes empty shards."""
    kept = [index for index, count in enumerate(counts) if count]
    for index in set(range(len(counts))) - set(kept):
        _temporary(folder, index).unlink()
    for index, name in zip(kept, output.shard_names(stem, [counts[index] for index in kept]), strict=True):
        _temporary(folder, index).rename(folder / name)


def _temporary(folder: Path, index: int) -> Path:
    return folder / f"{index}.part"
