"""Finds the versions of a model in a folder, as Pusher writes them and TensorFlow Serving reads them."""

import importlib
from pathlib import Path, PurePath
from typing import Any

from errors import UserError
from storage import aliases
from storage.versions import LAST, number_of

_MOST_NAMES = 5  # that an error lists


def find(folder: str) -> dict[int, str]:
    """Returns the folders of the complete versions by their numbers.

    Args:
      folder: contains a folder for each version, or is the folder of one version, whose name may be any. It may be in
        Cloud Storage (`gs://`).
    """
    files = _files(folder)
    if files.exists(f"{folder}/{LAST}"):
        name = PurePath(folder).name
        return {number_of(name) or 1: folder}
    names = [name.rstrip("/") for name in files.listdir(folder)] if files.isdir(folder) else []
    numbers = {number: f"{folder}/{name}" for name in names if (number := number_of(name)) is not None}
    return {number: each for number, each in numbers.items() if files.exists(f"{each}/{LAST}")}


def check(folder: str) -> dict[int, str]:
    """Returns the folders of the complete versions by their numbers, of which there is at least one.

    Args:
      folder: as for `find`.

    Raises:
      UserError: when the folder has no complete version.
    """
    try:
        found = find(folder)
    except Exception as error:  # TensorFlow's file systems raise many kinds
        raise UserError(f"--model: cannot read {folder}: {error}; check the path and its permissions") from None
    if not found:
        raise UserError(
            f"--model: expected a SavedModel, or a folder with numbered versions of one, in {folder}; received "
            f"neither. {_advice(folder)}"
        )
    return found


def served(folder: str) -> tuple[int, str]:
    """Returns the number and the folder of the version that is served by default: the champion, or else the newest.

    Args:
      folder: as for `find`.

    Raises:
      UserError: when there is no such version, or the aliases cannot be read.
    """
    found = check(folder)
    try:
        champion = None if folder in found.values() else aliases.read(folder).get(aliases.CHAMPION)
    except (aliases.DamagedAliases, OSError) as error:
        raise UserError(f"--model: unusable aliases: {error}; correct the file, or give one version") from None
    if champion is not None and champion not in found:
        raise UserError(
            f"--model: expected the champion, version {champion}, in {folder}, which has no such complete version; "
            "promote another version, or give one version"
        )
    return max(found.items()) if champion is None else (champion, found[champion])


def _advice(folder: str) -> str:
    """Returns what to do about a folder without a version: the models inside it, or beside it, if there are any."""
    for place in (PurePath(folder), PurePath(folder).parent):
        if "://" not in folder and (models := _models(str(place))):
            return f"{place} has {', '.join(sorted(models, reverse=True)[:_MOST_NAMES])}: give one of them"
    return "Run the pipeline until it pushes a model, and give its folder, such as runs/pushed/sample"


def _models(folder: str) -> list[str]:
    """Returns the names in a folder that `find` accepts; [] if they cannot be read."""
    try:
        return [each.name for each in Path(folder).iterdir() if find(str(each))]
    except OSError:
        return []


def name(folder: str) -> str:
    """Returns the model's name: that of its folder; of a version's folder, that of the folder above it."""
    path = Path(folder).absolute()
    return path.parent.name if path.name.isdecimal() else path.name


def _files(folder: str) -> Any:
    """Returns the functions for files in a folder. TensorFlow's, whose import takes seconds, are only for buckets."""
    return importlib.import_module("tensorflow").io.gfile if "://" in folder else _Local


class _Local:
    @staticmethod
    def exists(path: str) -> bool:
        return Path(path).exists()

    @staticmethod
    def isdir(path: str) -> bool:
        return Path(path).is_dir()

    @staticmethod
    def listdir(path: str) -> list[str]:
        return [each.name for each in Path(path).iterdir()]
