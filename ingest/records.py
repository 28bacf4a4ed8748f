"""Writes and validates TFRecord shards without TensorFlow, so that damaged data is found before a run starts.

A record (see TensorFlow's `tfrecord` page) is: length (8 bytes, little-endian), masked CRC-32C of the length, data,
masked CRC-32C of the data.
"""

import os
import re
import shlex
import struct
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, NamedTuple

import google_crc32c

from errors import UserError

INPUT_FILES = "input_files"  # ImportExampleGen's execution property that maps a file's path to its digest
WILDCARDS = "*?[\\"  # Beam and TensorFlow treat a path with one of these characters as a pattern
_COUNT_IN_NAME = re.compile(r"(?<!-of)-(\d+)\.tfrec(?:ord)?$")  # in 00000-of-00003, the number counts shards
_RECORDS = "*.tfrec*"  # the usual names of record files


class Shard(NamedTuple):
    """A TFRecord file and its number of records."""

    path: Path
    records: int


def held_out_shards(shards: int, eval_fraction: float) -> int:
    """Returns the number of shards for evaluation, rounded, at least 1 (3 of 16 shards at 0.19)."""
    return max(1, round(shards * eval_fraction))


def check_path(path: str | Path, instead: str) -> None:
    """Checks that Beam and TensorFlow do not treat a path as a pattern.

    Args:
      path: an absolute path or a URI.
      instead: advice for the error, such as 'give another folder (--data DIR)'.

    Raises:
      UserError: when the path has one of WILDCARDS.
    """
    if found := [character for character in WILDCARDS if character in str(path)]:
        raise UserError(
            f"expected a path without {' '.join(WILDCARDS)}, which Beam and TensorFlow read as a pattern; "
            f"received {found[0]} in {path}; rename it, or {instead}"
        )


def list_files(directory: str | Path, pattern: str) -> list[str]:
    """Returns the sorted paths of a folder's files that match a pattern: the files that a run reads.

    Args:
      directory: a local folder or a bucket's folder.
      pattern: names with `*`, `?` and `[...]`, separated by `/`; `*` does not match hidden files, as in a shell.

    Raises:
      UserError: when no file matches, or a path has one of WILDCARDS.
    """
    check_path(directory, "give another folder (--data DIR)")
    files = _matching(str(directory), pattern)
    if not files:
        raise UserError(f"no file in {directory} matches {pattern!r}; {_advice(str(directory))}")
    for file in files:
        check_path(file, "exclude it (data.pattern)")
    return files


def _advice(directory: str) -> str:
    """Returns what a folder without matching files contains, and what to do."""
    entries = sorted(_entries(directory))
    contents = f"it contains: {', '.join(name for name, _ in entries[:5]) or 'nothing'}"
    names = [name for name, is_folder in entries if fnmatchcase(name, _RECORDS) and not is_folder]
    if names:
        return f"{contents}. Set the pattern: --set data.pattern='{_RECORDS}'"
    if sum(is_folder for _, is_folder in entries) > 1:
        return (
            f"{contents}. If these are class folders of photos, first run python -m ingest photos "
            f"{shlex.quote(directory)} --to DIR; otherwise give another folder (--data DIR)"
        )
    return f"{contents}. Give a folder of TFRecords"


def _matching(directory: str, pattern: str) -> list[str]:
    *parents, last = pattern.split("/")
    folders = [directory.rstrip("/")]
    for part in parents:
        folders = [f"{folder}/{name}" for folder in folders for name in _names(folder, part, folders=True)]
    return sorted(f"{folder}/{name}" for folder in folders for name in _names(folder, last, folders=False))


def _names(folder: str, part: str, folders: bool) -> Iterator[str]:
    for name, is_folder in _entries(folder):
        hidden = name.startswith(".") and not part.startswith(".")
        if is_folder is folders and fnmatchcase(name, part) and not hidden:
            yield name


def _entries(folder: str) -> Iterator[tuple[str, bool]]:
    """Yields (name, is folder) for each entry of a folder."""
    if "://" not in folder:
        with os.scandir(folder or "/") as entries:
            for entry in entries:
                if entry.is_dir() or entry.is_file() or entry.is_symlink():
                    yield entry.name, entry.is_dir()
        return
    from tensorflow.io import gfile  # 5 s to import, needed only for buckets

    for name in gfile.listdir(folder):
        if bare := name.rstrip("/"):  # a bucket may contain an empty object with the folder's name
            yield bare, name.endswith("/")


def unmatched(directory: Path, shards: Sequence[Shard]) -> list[str]:
    """Returns the record files in a folder and its readable subfolders that are not among the shards."""
    read = {str(shard.path) for shard in shards}
    folders = [directory, *(Path(directory, name) for name in _names(str(directory), "*", folders=True))]
    found = [file for each in folders if os.access(each, os.R_OK | os.X_OK) for file in _matching(str(each), _RECORDS)]
    return [os.path.relpath(file, directory) for file in found if file not in read]


def check_folder(directory: Path, pattern: str) -> list[Shard]:
    """Validates every record of a folder and returns its shards, sorted by path.

    Raises:
      UserError: when the folder does not exist; or naming each shard that is empty, truncated or corrupted, or whose
        number of records is not that in its name.
    """
    if not directory.is_dir():
        raise UserError(f"the data folder {directory} does not exist; give a folder with {pattern} files (--data DIR)")
    paths = [Path(file) for file in list_files(directory, pattern)]
    shards, problems = [], []
    for path in paths:
        try:
            shards.append(Shard(path, count_records(path)))
        except ValueError as error:
            problems.append(f"{path.relative_to(directory)}: {error}")
    if problems:
        raise UserError(
            f"{len(problems)} of {len(paths)} shards in {directory} cannot be used; download, make or rename them:\n  "
            + "\n  ".join(problems)
        )
    return shards


def count_records(path: Path) -> int:
    """Returns the number of records in an uncompressed shard, after verifying every checksum.

    Raises:
      ValueError: when the shard is empty, truncated or corrupted, or its name has another number of records.
    """
    count = 0
    with path.open("rb") as file:
        while _read_record(file, count):
            count += 1
    if count == 0:
        raise ValueError("contains no records")
    named = _COUNT_IN_NAME.search(path.name)
    if named and int(named[1]) != count:
        raise ValueError(f"expected {int(named[1])} records (the number before .tfrec), received {count}")
    return count


def write_record(file: BinaryIO, data: bytes) -> None:
    """Appends one record to an uncompressed shard."""
    header = struct.pack("<Q", len(data))
    file.write(header + struct.pack("<I", _masked_crc(header)) + data + struct.pack("<I", _masked_crc(data)))


def _read_record(file: BinaryIO, index: int) -> bool:
    """Reads one record; returns False at the end of the file."""
    record = f"record {index} (byte {file.tell()})"
    header = file.read(12)
    if not header:
        return False
    if len(header) < 12:
        raise ValueError(f"truncated in the header of {record}")
    length, length_crc = struct.unpack("<QI", header)
    if _masked_crc(header[:8]) != length_crc:
        raise ValueError(f"corrupted, or not an uncompressed TFRecord file, at {record}")
    data, data_crc = file.read(length), file.read(4)
    if len(data) < length or len(data_crc) < 4:
        raise ValueError(f"truncated in {record}")
    if _masked_crc(data) != struct.unpack("<I", data_crc)[0]:
        raise ValueError(f"corrupted in {record}")
    return True


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
