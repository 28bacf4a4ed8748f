"""Reads the answers that a server has kept, from a folder on this machine or in a bucket."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from ingest import kept
from ingest.kept import Kept
from ingest.record_file import Record
from storage.s3 import as_s3

_MOST = 100_000  # answers: 200 MB of memory; more would not change the thresholds


class Answers(NamedTuple):
    """The answers of a folder.

    Attributes:
      kept: one answer, the latest, for each different photo, without the photos.
      repeated: the number of other answers, whose photos are equal to those of `kept` by their measurements.
      with_photos: the number of answers whose photo was kept.
      unreadable: the files and records that cannot be read, each with the reason.
      lost: the estimated number of records after a damaged place.
      unread: the number of older files, which were not read because there are enough answers.
    """

    kept: list[Kept]
    repeated: int = 0
    with_photos: int = 0
    unreadable: tuple[str, ...] = ()
    lost: int = 0
    unread: int = 0


def read(folder: str) -> Answers:
    """Returns the newest answers, about 100,000 at most.

    Raises:
      UserError: when the folder has no files of `--keep`.
    """
    found: dict[tuple[Any, ...], Kept] = {}
    paths = kept.paths(folder)
    count = photos = lost = 0
    unreadable: list[str] = []
    while paths and len(found) < _MOST:
        path = paths.pop()
        of_file: dict[tuple[Any, ...], Kept] = {}
        try:
            for record, answer in _records(path):
                lost += record.lost
                if answer is None:
                    unreadable.append(f"{Path(path).name}: {record.problem}")
                    continue
                count, photos = count + 1, photos + bool(answer.image)
                of_file[_measured(answer)] = answer._replace(image=b"")
        except OSError as error:
            unreadable.append(f"{Path(path).name}: {error.strerror or error}")
        found = of_file | found
    return Answers(list(found.values()), count - len(found), photos, tuple(unreadable), lost, len(paths))


def _measured(answer: Kept) -> tuple[Any, ...]:
    """Returns what is equal for equal photos."""
    return *answer.size, answer.brightness, answer.contrast, *answer.colours


def _records(path: str) -> Iterator[tuple[Record, Kept | None]]:
    if "://" in path:
        with FileSystems.open(as_s3(path), compression_type=CompressionTypes.UNCOMPRESSED) as file:
            yield from kept.records_of(file)
        return
    with suppress(FileNotFoundError), kept.opened(Path(path)) as file:  # the server has removed its oldest file
        yield from kept.records_of(file, os.fstat(file.fileno()).st_size)
