"""Finds the photos that a user names on the command line."""

import glob
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from errors import UserError

SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp"}  # what the served model decodes


class Found(NamedTuple):
    """The photos, in the order of the names and sorted within each folder, and the number of other files in folders."""

    photos: list[Path]
    others: int


def find(names: Iterable[str]) -> Found:
    """Returns the photos of files, folders and patterns; a photo that is named twice is returned once.

    Args:
      names: files, which may have any suffix; folders, whose photos are found by their suffix at any depth, without
        hidden files; or patterns of them, for shells that do not expand patterns.

    Raises:
      UserError: when a name does not exist, or there is no photo.
    """
    photos: dict[Path, None] = {}
    others = 0
    for name in names:
        matches = [Path(name)] if Path(name).exists() else sorted(map(Path, glob.glob(name, recursive=True)))  # noqa: PTH207
        if not matches:
            raise UserError(
                f"expected a file, a folder or a pattern that matches files, received {name!r}; check the path"
            )
        for path in matches:
            if path.is_dir():
                inside = [each for each in sorted(path.rglob("*")) if each.is_file() and not _is_hidden(each, path)]
                chosen = [each for each in inside if each.suffix.lower() in SUFFIXES]
                others += len(inside) - len(chosen)
                photos.update(dict.fromkeys(chosen))
            else:
                photos[path] = None
    if not photos:
        raise UserError(
            f"expected photos ({', '.join(sorted(SUFFIXES))}), received {others} other files; name files to try them"
        )
    return Found(list(photos), others)


def _is_hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)
