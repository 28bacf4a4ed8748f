"""Finds the photos that a user names on the command line."""

import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from errors import UserError

SUFFIXES = {".jpg", ".jpeg", ".png", ".gif", ".bmp"}  # what the served model decodes


class Found(NamedTuple):
    """The photos, in the order of the names and sorted within each folder, and the number of other files and links."""

    photos: list[Path]
    others: int


def find(names: Iterable[str]) -> Found:
    """Returns the photos of files, folders and patterns; a photo that is named twice is returned once.

    Args:
      names: files, which may have any suffix; folders, whose photos are found by their suffix at any depth, without
        hidden files; or patterns of them, for shells that do not expand patterns.

    Raises:
      UserError: when a name does not exist, a folder cannot be read, or there is no photo.
    """
    photos: dict[Path, None] = {}
    others = 0
    for name in names:
        try:
            matches = [Path(name)] if Path(name).exists() else sorted(map(Path, glob.glob(name, recursive=True)))  # noqa: PTH207
            inside = [_inside(path) if path.is_dir() else [path] for path in matches]
        except OSError as error:
            raise UserError(
                f"cannot read {error.filename}: {error.strerror}; check the path and its permissions"
            ) from None
        if not matches:
            raise UserError(
                f"expected a file, a folder or a pattern that matches files, received {name!r}; check the path"
            )
        for path, files in zip(matches, inside, strict=True):
            chosen = [each for each in files if each == path or each.suffix.lower() in SUFFIXES]
            others += len(files) - len(chosen)
            photos.update(dict.fromkeys(chosen))
    if not photos:
        raise UserError(
            f"expected photos ({', '.join(sorted(SUFFIXES))}), received {others} other files; name files to try them"
        )
    return Found(list(photos), others)


def _inside(folder: Path) -> list[Path]:
    """Returns the files in a folder at any depth, and links to folders, which are not followed; not hidden ones.

    Raises:
      OSError: when a folder cannot be read.
    """

    def stop(error: OSError) -> None:
        raise error

    found: list[Path] = []
    for place, folders, files in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if Path(place, name).is_symlink()]
        found += [Path(place, name) for name in files + links if not name.startswith(".")]
    return sorted(found)
