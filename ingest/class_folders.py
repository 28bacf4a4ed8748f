"""Finds the photos of a folder with one subfolder per class, and assigns them to shards."""

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from errors import UserError
from ingest.output import printable
from ingest.parallel import Photo, Skipped


def find(source: Path, skipped: list[Skipped]) -> dict[str, list[Path]]:
    """Returns the sorted files of each class folder by class name, without hidden files.

    A link is followed only if its target is inside `source`. Skipped files and folders are appended to `skipped`.

    Raises:
      UserError: when `source` or a class folder cannot be read, or a class name is not printable.
    """
    try:
        if not source.is_dir():
            raise UserError(f"expected a folder with one subfolder per class; {printable(source)} is not a folder")
        folders = [path for path in _visible(source) if path.is_dir() and _is_inside(path, source, skipped)]
        return {_class_name(folder): _files(folder, source, skipped) for folder in folders}
    except OSError as error:
        raise UserError(f"cannot read {printable(error.filename)}: {error.strerror}") from None


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


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _class_name(folder: Path) -> str:
    if not folder.name.isprintable():
        raise UserError(
            f"expected printable UTF-8 as the name of a class folder, received {printable(folder)}; rename the folder"
        )
    return folder.name


def _files(folder: Path, source: Path, skipped: list[Skipped]) -> list[Path]:
    return [path for path in _visible(folder) if _is_inside(path, source, skipped) and _is_file(path, skipped)]


def _is_inside(path: Path, source: Path, skipped: list[Skipped]) -> bool:
    if not path.is_symlink() or Path(os.path.realpath(path)).is_relative_to(source):
        return True
    skipped.append(Skipped(path, "a link to a target outside the photo folder"))
    return False


def _is_file(path: Path, skipped: list[Skipped]) -> bool:
    if path.is_file():
        return True
    kind = "a folder inside a class folder" if path.is_dir() else "not a file"
    skipped.append(Skipped(path, f"{kind}; expected photos directly in the class folder"))
    return False
