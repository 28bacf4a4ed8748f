"""Writes the photos of a spool to TFRecord shards, by split, in an order that follows from their content."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ingest import output, splitting
from ingest.examples import make_example
from ingest.record_file import write_record
from ingest.split_names import TRAIN
from ingest.spool import Item, Spool


class Written(NamedTuple):
    """The number of photos by class and by split, and the number of shards."""

    classes: dict[str, int]
    splits: dict[str, int]
    shards: int


def write(folder: Path, name: str, spool: Spool, splits: Sequence[str | None], shards: int, seed: int) -> Written:
    """Writes the shards of each split.

    Args:
      folder: an existing folder.
      name: the start of the shards' names.
      spool: the photos.
      splits: the split of each photo of the spool; None for a photo that is left out.
      shards: the maximum number of shards; there are fewer if every class has fewer photos, but one for each split.
      seed: of the order.
    """
    kept = [(item, split) for item, split in zip(spool.items, splits, strict=True) if split]
    kept.sort(key=lambda pair: (splitting.number(pair[0].photo.digest, seed), pair[0].photo.name))
    by_class = Counter(item.photo.label for item, _ in kept)
    by_split = Counter(str(split) for _, split in kept)
    classes = sorted(by_class)
    counts = shard_counts(by_split, min(shards, max(by_class.values())))
    for split, count in counts.items():
        items = [item for item, assigned in kept if assigned == split]
        parts = [items[len(items) * part // count : len(items) * (part + 1) // count] for part in range(count)]
        names = output.shard_names(output.split_stem(name, split), [len(part) for part in parts])
        for file, part in zip(names, parts, strict=True):
            _write_shard(folder / file, part, spool, classes)
    return Written({label: by_class[label] for label in classes}, dict(by_split), sum(counts.values()))


def shard_counts(photos: Mapping[str, int], shards: int) -> dict[str, int]:
    """Returns the number of shards of each split: in proportion to its photos, at least 1 and at most its photos.

    >>> shard_counts({"train": 750, "eval": 100, "test": 150}, 16)
    {'train': 12, 'eval': 2, 'test': 2}
    >>> shard_counts({"train": 9, "eval": 3}, 2)
    {'train': 1, 'eval': 1}
    """
    total = sum(photos.values())
    counts = {split: max(1, round(shards * count / total)) for split, count in photos.items() if split != TRAIN}
    counts = {TRAIN: max(1, shards - sum(counts.values())), **counts}
    return {split: min(count, photos[split]) for split, count in counts.items()}


def _write_shard(path: Path, items: Sequence[Item], spool: Spool, classes: Sequence[str]) -> None:
    labels = {name: index for index, name in enumerate(classes)}
    with path.open("wb") as file:
        for item in items:
            photo = item.photo
            example = make_example(
                spool.content(item), labels[photo.label], classes, item.size, photo.name, photo.digest.hex()
            )
            write_record(file, example.SerializeToString(deterministic=True))
