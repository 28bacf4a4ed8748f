"""Reads the photos of record files and of photo files, without looking at their content."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from components.record_check import NotUsable, photo_of, readable
from ingest import record_file, regular_file
from storage.files import fileio
from storage.s3 import as_s3

COUNTS = "counts"  # the output with ((READ or LOST, ''), records) of each file
READ = "read"
LOST = "lost"  # records after a damaged place, which cannot be read


class Item(NamedTuple):
    """A photo that is to be predicted, or a record or a file in which there is none.

    Attributes:
      file: the record file or photo file, relative to the folder of the data.
      record: the record's number in the file, counted from 0; None for a photo file.
      filename: the name of the photo's file that the record contains; None without it.
      photo: the encoded photo.
      problem: why there is no photo, as 'REASON: DETAIL', or ''.
    """

    file: str
    record: int | None
    filename: str | None
    photo: bytes
    problem: str = ""


class Read(beam.DoFn):
    """Yields an Item for each record of a file, or for the file itself if it is a photo; and the counts of COUNTS.

    Paths are bytes, because Beam cannot send names that are not UTF-8.
    """

    def __init__(self, directory: str, features: Mapping[str, str], are_records: bool):
        self._directory, self._features, self._are_records = directory, features, are_records

    def process(self, element: bytes) -> Iterator[Any]:
        """Reads a file, given its path; see the class."""
        path = os.fsdecode(element)
        name = readable(os.fsencode(path.removeprefix(self._directory.rstrip("/") + "/")))
        if self._are_records:
            yield from self._records(path, name)
        else:
            yield _photo(path, name)
            yield _count(READ, 1)

    def _records(self, path: str, name: str) -> Iterator[Any]:
        size, read = fileio.stat(path).length, 0
        with _opened(path) as file:
            for record in record_file.read(file, size):
                yield self._item(record, name)
                read += 1
                if record.lost:
                    yield _count(LOST, record.lost)
        yield _count(READ, read)

    def _item(self, record: record_file.Record, name: str) -> Item:
        if record.problem:
            return Item(name, record.number, None, b"", f"damaged record: {record.problem}")
        try:
            photo, filename = photo_of(record.data, self._features)
        except NotUsable as error:
            return Item(name, record.number, None, b"", f"{error.reason}: {error.detail}")
        return Item(name, record.number, readable(filename) or None, photo)


def _count(key: str, number: int) -> beam.pvalue.TaggedOutput:
    return beam.pvalue.TaggedOutput(COUNTS, ((key, ""), number))


def _opened(path: str) -> BinaryIO:
    if "://" in path:
        return FileSystems.open(as_s3(path), compression_type=CompressionTypes.UNCOMPRESSED)
    return regular_file.opened(Path(path))


def _photo(path: str, name: str) -> Item:
    try:
        return Item(name, None, None, regular_file.photo(Path(path)))
    except OSError as error:
        return Item(name, None, None, b"", f"the file cannot be read: {error.strerror}")
