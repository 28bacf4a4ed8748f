"""Checks the classes of a folder of photos, and assigns the photos to shards."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from errors import UserError
from ingest.output import printable
from ingest.parallel import Photo, Skipped


def check_classes(
    files: Mapping[str, Sequence[Path]], photos: Mapping[str, Sequence[Path]], skipped: Sequence[Skipped]
) -> list[str]:
    """Returns the class names: the names of the folders that are not empty.

    Args:
      files: the files of each class folder.
      photos: the files of each class folder that are photos.
      skipped: the other files; an error names the first.

    Raises:
      UserError: when fewer than two classes have photos, or a class has fewer than two photos.
    """
    if sum(1 for found in photos.values() if found) < 2:
        received = ", ".join(f"{name}: {len(found)}" for name, found in photos.items()) or "no folders"
        raise UserError(f"expected at least two class folders with photos, received {received}{first(skipped)}")
    classes = [name for name, found in files.items() if found]
    too_few = [f"{name}: {len(photos[name])}" for name in classes if len(photos[name]) < 2]
    if too_few:
        raise UserError(
            "expected at least 2 readable photos in each class, one for training and one for evaluation; "
            f"received {', '.join(too_few)}. Add photos, or move the folder away{first(skipped)}"
        )
    return classes


def assign_shards(photos: Sequence[Sequence[Path]], shards: int, seed: int) -> list[list[Photo]]:
    """Returns the photos of each shard, shuffled; each class is spread evenly over the shards.

    If a class has fewer photos than there are shards, its first photo is in the first shard, which is held out for
    evaluation, and the others are in shards at equal distances.

    Args:
      photos: the photos of each class, at least 2.
      shards: the maximum number of shards; there are fewer if every class has fewer photos.
      seed: the seed of the shuffle.
    """
    rng = random.Random(seed)
    count = min(shards, max(len(paths) for paths in photos))
    assigned: list[list[Photo]] = [[] for _ in range(count)]
    start = 0  # a class starts at the shard after the previous class's last shard, so that shards have equal sizes
    for label, paths in enumerate(photos):
        shuffled = [Photo(path, label) for path in paths]
        rng.shuffle(shuffled)
        few = len(shuffled) < count
        for index, photo in enumerate(shuffled):
            assigned[index * count // len(shuffled) if few else (start + index) % count].append(photo)
        start += 0 if few else len(shuffled)
    for shard in assigned:
        rng.shuffle(shard)
    return assigned


def first(skipped: Sequence[Skipped]) -> str:
    """Returns the first skipped file and the reason, to append to an error; "" if nothing was skipped."""
    if not skipped:
        return ""
    more = f" (and {len(skipped) - 1} more)" if len(skipped) > 1 else ""
    return f"\n  skipped: {printable(skipped[0].path)}: {printable(skipped[0].reason)}{more}"
