"""A folder of photos, one folder a class, to TFRecords: looked through, dealt to shards, then encoded shard by shard.

Only paths are held for the whole dataset; of the photos, a few at a time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from errors import UserError
from ingest import class_folders, decoding, output, records
from ingest.names import safe_name
from ingest.parallel import LeftOut, Photo, Workers, workers


class Made(NamedTuple):
    """What was written: how many records of each class, in how many shards, and what was left out."""

    counts: dict[str, int]
    shards: int
    left_out: list[LeftOut]


def make(source: Path, target: Path, size: int, shards: int, seed: int, command: str) -> Made:
    """Writes the photos under `source` to `target` as shards, a schema and settings.

    The same photos, `size`, `shards` and `seed` give the same shards.

    Args:
      source: a folder with a folder for each class, whose name is the class name.
      target: a new or empty folder.
      size: height and width of the squares to which the photos are cropped, in pixels.
      shards: how many to write; fewer where no class has as many photos.
      seed: of the order.
      command: noted in the settings.

    Raises:
      UserError: when there are not two classes with photos, or `target` cannot be written.
    """
    source, target = source.expanduser().resolve(), target.expanduser().resolve()
    if target.is_relative_to(source):
        raise UserError(
            f"{output.printable(target)} (--to) is inside the folder of photos, where it would be taken for a class; "
            "give a folder elsewhere"
        )
    output.check_free(target)
    with workers() as work:
        files = class_folders.find(source, work.left_out)
        photos = _photos_of(files, work)
        classes = class_folders.check_classes(files, photos, work.left_out)
        decks = class_folders.deal([photos[name] for name in classes], shards, seed)
        with output.whole_folder(target) as folder:
            written = _write(folder, decks, classes, size, work)
            _check_written(written, classes, work.left_out)
            _name(folder, safe_name(target.name), [counts.total() for counts in written])
            output.write_settings(folder, source, target, command, {"classes": classes, "image_size": size})
    total = sum(written, Counter[int]())
    counts = {name: total[label] for label, name in enumerate(classes)}
    return Made(counts, sum(1 for each in written if each), sorted(work.left_out))


def _photos_of(files: Mapping[str, Sequence[Path]], work: Workers) -> dict[str, list[Path]]:
    """Returns the files that begin as photos: what is no photo is not to count where classes are dealt."""
    names = list(files)
    every = [Photo(path, label) for label, name in enumerate(names) for path in files[name]]
    found: dict[str, list[Path]] = {name: [] for name in names}
    for photo, _ in work.each(work.task("looking for photos", len(every)), decoding.check_header, every):
        found[names[photo.label]].append(photo.path)
    return found


def _write(
    folder: Path, decks: Sequence[Sequence[Photo]], classes: Sequence[str], size: int, work: Workers
) -> list[Counter[int]]:
    """Writes shard by shard under temporary names; returns how many of each class are in each."""
    from ingest.examples import make_example  # TensorFlow: 5 s to import, after all that is refused at once

    task = work.task("writing shards", sum(map(len, decks)))
    encode = partial(decoding.square_jpeg, size=size)
    written = []
    for index, deck in enumerate(decks):
        counts: Counter[int] = Counter()
        with _unnamed(folder, index).open("wb") as file:
            for photo, jpeg in work.each(task, encode, deck):
                example = make_example(jpeg, photo.label, classes, (size, size))
                records.write_record(file, example.SerializeToString(deterministic=True))
                counts[photo.label] += 1
        written.append(counts)
    return written


def _check_written(written: Sequence[Counter[int]], classes: Sequence[str], left_out: Sequence[LeftOut]) -> None:
    """Refuses a class that is not in two shards: files may begin as photos and not be decoded."""
    shards = {name: sum(1 for counts in written if counts[label]) for label, name in enumerate(classes)}
    poor = [name for name, count in shards.items() if count < 2]
    if poor:
        raise UserError(
            "too few photos can be decoded (expected some to train and some to evaluate on) in the class folders "
            f"{', '.join(poor)}; add photos, or move the folders away{class_folders.first(left_out)}"
        )


def _name(folder: Path, stem: str, counts: Sequence[int]) -> None:
    """Gives the shards names that hold their counts, and removes those of which no photo could be decoded."""
    kept = [index for index, count in enumerate(counts) if count]
    for index in set(range(len(counts))) - set(kept):
        _unnamed(folder, index).unlink()
    for index, name in zip(kept, output.shard_names(stem, [counts[index] for index in kept]), strict=True):
        _unnamed(folder, index).rename(folder / name)


def _unnamed(folder: Path, index: int) -> Path:
    return folder / f"{index}.part"
