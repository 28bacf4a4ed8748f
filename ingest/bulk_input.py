"""Finds the input of a bulk prediction in a folder: its record files or, if there are none, its photos."""

import os
from pathlib import Path
from typing import NamedTuple

from errors import UserError
from ingest import records


class Found(NamedTuple):
    """The files, sorted.

    Attributes:
      are_records: whether the files are TFRecord files; otherwise each file is a photo.
      files: the paths.
      others: the number of files in a folder of photos that are not named as photos.
    """

    are_records: bool
    files: list[str]
    others: int = 0


def find(directory: str, pattern: str) -> Found:
    """Returns the record files that match a pattern (see `records.list_files`), or the photos at any depth.

    Photos are found by their suffix. Hidden files are ignored, and links to folders are not followed.

    Args:
      directory: a local folder, or a bucket's folder, of which only record files are found.
      pattern: of the record files.

    Raises:
      UserError: when there are neither, or a folder cannot be read.
    """
    try:
        if files := records.matching(directory, pattern):
            return Found(True, files)
        inside = [] if "://" in directory else _inside(directory)
    except OSError as error:
        raise UserError(f"bulk.data: cannot read {error.filename}: {error.strerror}; check the permissions") from None
    photos = [path for path in inside if path.lower().endswith(records.PHOTOS)]
    if not photos:
        kinds = "TFRecords" if "://" in directory else "TFRecords or photos"
        raise UserError(
            f"bulk.data: expected a folder of {kinds}, received {directory}, in which no record file matches "
            f"{pattern!r} (data.pattern){'' if '://' in directory else ' and no photo is found'}; give another folder"
        )
    return Found(False, photos, len(inside) - len(photos))


def _inside(directory: str) -> list[str]:
    def stop(error: OSError) -> None:
        raise error

    found: list[str] = []
    for folder, folders, files in os.walk(directory, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [str(Path(folder, name)) for name in files if not name.startswith(".")]
    return sorted(found)
