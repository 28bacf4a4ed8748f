"""The photos of a folder that holds a folder for each class: which there are, and in which shard each goes."""

import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from errors import UserError
from ingest.output import printable
from ingest.parallel import LeftOut, Photo


def find(source: Path, left_out: list[LeftOut]) -> dict[str, list[Path]]:
    """Returns the files of each class folder of `source` by class name, both sorted; hidden ones are passed over.

    A link is taken if it leads to a place inside `source`. What else is not taken is added to `left_out`.

    Raises:
      UserError: when `source` or a class folder cannot be read, or a class name cannot be written.
    """
    try:
        if not source.is_dir():
            raise UserError(f"{printable(source)} is not a folder; expected one that holds a folder for each class")
        folders = [path for path in _listed(source) if path.is_dir() and _inside(path, source, left_out)]
        return {_class_name(folder): _files(folder, source, left_out) for folder in folders}
    except OSError as error:
        raise UserError(f"cannot read {printable(error.filename)}: {error.strerror}") from None


def check_classes(
    files: Mapping[str, Sequence[Path]], photos: Mapping[str, Sequence[Path]], left_out: Sequence[LeftOut]
) -> list[str]:
    """Returns the names of the classes: of the folders that hold any file.

    Args:
      files: the files of each class folder.
      photos: those of them that are photos.
      left_out: the others, the first of which is named in an error.

    Raises:
      UserError: when fewer than two have photos, or one has too few to train and to evaluate on.
    """
    if sum(1 for found in photos.values() if found) < 2:
        have = ", ".join(f"{name}: {len(found)}" for name, found in photos.items()) or "no folders"
        raise UserError(f"expected at least two class folders with photos, received {have}{first(left_out)}")
    classes = [name for name, found in files.items() if found]
    poor = [f"{name}: {len(photos[name])}" for name in classes if len(photos[name]) < 2]
    if poor:
        raise UserError(
            "expected at least 2 photos that can be read in each class, one to train and one to evaluate on; "
            f"received {', '.join(poor)}. Add photos, or move the folder away{first(left_out)}"
        )
    return classes


def deal(photos: Sequence[Sequence[Path]], shards: int, seed: int) -> list[list[Photo]]:
    """Spreads each class evenly over at most `shards` shards, at least 2, none of them empty, and shuffles each.

    A class with fewer photos than there are shards has one in the first shard, which is held out for evaluation, and
    the others at equal distances.

    Args:
      photos: for each class its photos, at least 2.
      shards: at most so many; fewer where no class has as many photos.
      seed: of the order.
    """
    rng = random.Random(seed)
    count = min(shards, max(len(paths) for paths in photos))
    decks: list[list[Photo]] = [[] for _ in range(count)]
    following = 0  # a class goes on where the one before ended, so that the shards are of one size
    for label, paths in enumerate(photos):
        shuffled = [Photo(path, label) for path in paths]
        rng.shuffle(shuffled)
        few = len(shuffled) < count
        for index, photo in enumerate(shuffled):
            decks[index * count // len(shuffled) if few else (following + index) % count].append(photo)
        following += 0 if few else len(shuffled)
    for deck in decks:
        rng.shuffle(deck)
    return decks


def first(left_out: Sequence[LeftOut]) -> str:
    """Returns the first thing that was left out and why, for the end of an error."""
    if not left_out:
        return ""
    more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
    return f"\n  left out: {printable(left_out[0].path)}: {printable(left_out[0].reason)}{more}"


def _listed(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _class_name(folder: Path) -> str:
    if not folder.name.isprintable():
        raise UserError(
            f"the name of the class folder {printable(folder)} cannot be written: expected printable UTF-8; rename it"
        )
    return folder.name


def _files(folder: Path, source: Path, left_out: list[LeftOut]) -> list[Path]:
    return [path for path in _listed(folder) if _inside(path, source, left_out) and _is_file(path, left_out)]


def _inside(path: Path, source: Path, left_out: list[LeftOut]) -> bool:
    if not path.is_symlink() or Path(os.path.realpath(path)).is_relative_to(source):
        return True
    left_out.append(LeftOut(path, "a link that leads out of the folder of photos"))
    return False


def _is_file(path: Path, left_out: list[LeftOut]) -> bool:
    if path.is_file():
        return True
    what = "a folder inside a class folder" if path.is_dir() else "not a file"
    left_out.append(LeftOut(path, f"{what}; expected photos right in the class folder"))
    return False
