"""Writes and checks TFRecord shards without TensorFlow, so that damaged data is named before a run starts.

The framing is the one of TensorFlow's `tfrecord` page: length (8 bytes, little-endian), masked CRC-32C of the
length, data, masked CRC-32C of the data.
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

INPUT_FILES = "input_files"  # ImportExampleGen's execution property with a digest of each file, by its path
WILDCARDS = "*?[\\"  # Beam and TensorFlow read a path with one of them as a pattern
_COUNT_IN_NAME = re.compile(r"(?<!-of)-(\d+)\.tfrec(?:ord)?$")  # 00000-of-00003 counts shards
_RECORDS = "*.tfrec*"  # the names of record files, which a pattern may leave out


class Shard(NamedTuple):
    """One TFRecord file and how many records it holds."""

    path: Path
    records: int


def held_out_shards(shards: int, eval_fraction: float) -> int:
    """Returns how many shards are for evaluation: the nearest number, one at least (16 at 0.19 are the codelab's 3)."""
    return max(1, round(shards * eval_fraction))


def check_path(path: str | Path, instead: str) -> None:
    """Checks that a path is no pattern to Beam or TensorFlow.

    Args:
      path: absolute, or of a bucket.
      instead: what to do, such as 'give another folder (--data DIR)'.

    Raises:
      UserError: when it holds one of WILDCARDS.
    """
    if found := [character for character in WILDCARDS if character in str(path)]:
        raise UserError(
            f"expected a path without {' '.join(WILDCARDS)}, which Beam and TensorFlow read as a pattern; "
            f"received {found[0]} in {path}; rename it, or {instead}"
        )


def list_files(directory: str | Path, pattern: str) -> list[str]:
    """Returns the paths of a folder's files that match, sorted: this list is checked, read and in the cache's key.

    Args:
      directory: of this machine or of a bucket.
      pattern: `*`, `?` and `[...]` in names, and a `/` for each folder; `*` matches no hidden file, as in a shell.

    Raises:
      UserError: when no file matches, or a path is a pattern to Beam or TensorFlow.
    """
    check_path(directory, "give another folder (--data DIR)")
    files = _matching(str(directory), pattern)
    if not files:
        raise UserError(f"no file in {directory} matches {pattern!r}; {_instead(str(directory))}")
    for file in files:
        check_path(file, "leave it out (data.pattern)")
    return files


def _instead(directory: str) -> str:
    """Returns what a folder without matching files holds, and what to do."""
    entries = sorted(_entries(directory))
    holds = f"it holds: {', '.join(name for name, _ in entries[:5]) or 'nothing'}"
    names = [name for name, is_folder in entries if fnmatchcase(name, _RECORDS) and not is_folder]
    if names:
        return f"{holds}. Set the pattern: --set data.pattern='{_RECORDS}'"
    if sum(is_folder for _, is_folder in entries) > 1:
        return (
            f"{holds}. If these are class folders of photos, first run python -m ingest photos "
            f"{shlex.quote(directory)} --to DIR; else give another folder (--data DIR)"
        )
    return f"{holds}. It is no folder of TFRecords"


def _matching(directory: str, pattern: str) -> list[str]:
    *folders, last = pattern.split("/")
    places = [directory.rstrip("/")]
    for part in folders:
        places = [f"{place}/{name}" for place in places for name in _names(place, part, folders=True)]
    return sorted(f"{place}/{name}" for place in places for name in _names(place, last, folders=False))


def _names(place: str, part: str, folders: bool) -> Iterator[str]:
    for name, is_folder in _entries(place):
        hidden = name.startswith(".") and not part.startswith(".")
        if is_folder is folders and fnmatchcase(name, part) and not hidden:
            yield name


def _entries(place: str) -> Iterator[tuple[str, bool]]:
    """Yields the names of files and folders in a folder, and whether each is a folder."""
    if "://" not in place:
        with os.scandir(place or "/") as entries:
            for entry in entries:
                if entry.is_dir() or entry.is_file() or entry.is_symlink():
                    yield entry.name, entry.is_dir()
        return
    from tensorflow.io import gfile  # 5 s to import, and this machine's folders need none

    for name in gfile.listdir(place):
        if bare := name.rstrip("/"):  # a bucket may keep an empty object of the folder's own name
            yield bare, name.endswith("/")


def unread(directory: Path, shards: Sequence[Shard]) -> list[str]:
    """Returns the names of record files in a folder, or in its readable folders, that are not among the shards."""
    read = {str(shard.path) for shard in shards}
    folders = [directory, *(Path(directory, name) for name in _names(str(directory), "*", folders=True))]
    found = [file for each in folders if os.access(each, os.R_OK | os.X_OK) for file in _matching(str(each), _RECORDS)]
    return [os.path.relpath(file, directory) for file in found if file not in read]


def check_folder(directory: Path, pattern: str) -> list[Shard]:
    """Reads every shard of a folder through and returns them sorted by path.

    Raises:
      UserError: naming each missing folder, empty, truncated or corrupted shard, and wrong count.
    """
    if not directory.is_dir():
        raise UserError(f"the data folder {directory} does not exist; give one that holds {pattern} (--data DIR)")
    paths = [Path(file) for file in list_files(directory, pattern)]
    shards, problems = [], []
    for path in paths:
        try:
            shards.append(Shard(path, count_records(path)))
        except ValueError as error:
            problems.append(f"{path.relative_to(directory)}: {error}")
    if problems:
        raise UserError(
            f"{len(problems)} of {len(paths)} shards in {directory} cannot be used; fetch, make or name them anew:\n  "
            + "\n  ".join(problems)
        )
    return shards


def count_records(path: Path) -> int:
    """Returns the number of records in one uncompressed shard, having checked every checksum.

    Raises:
      ValueError: when it is empty, truncated, corrupted or holds another number than its name says.
    """
    count = 0
    with path.open("rb") as file:
        while _read_record(file, count):
            count += 1
    if count == 0:
        raise ValueError("holds no records")
    named = _COUNT_IN_NAME.search(path.name)
    if named and int(named[1]) != count:
        raise ValueError(f"its name says {int(named[1])} records (the number before .tfrec), it holds {count}")
    return count


def write_record(file: BinaryIO, data: bytes) -> None:
    """Appends one record to an uncompressed shard."""
    header = struct.pack("<Q", len(data))
    file.write(header + struct.pack("<I", _masked_crc(header)) + data + struct.pack("<I", _masked_crc(data)))


def _read_record(file: BinaryIO, index: int) -> bool:
    """Reads one record; returns False at the end of the file."""
    at = f"record {index} (byte {file.tell()})"
    header = file.read(12)
    if not header:
        return False
    if len(header) < 12:
        raise ValueError(f"truncated in the header of {at}")
    length, length_crc = struct.unpack("<QI", header)
    if _masked_crc(header[:8]) != length_crc:
        raise ValueError(f"corrupted, or not an uncompressed TFRecord file, at {at}")
    data, data_crc = file.read(length), file.read(4)
    if len(data) < length or len(data_crc) < 4:
        raise ValueError(f"truncated in {at}")
    if _masked_crc(data) != struct.unpack("<I", data_crc)[0]:
        raise ValueError(f"corrupted in {at}")
    return True


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
