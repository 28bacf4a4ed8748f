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
from ingest.split_names import EVAL, TEST, TRAIN, split_in_file_name

INPUT_FILES = "input_files"  # ImportExampleGen's execution property that maps a file's path to its digest
WILDCARDS = "*?[\\"  # Beam and TensorFlow treat a path with one of these characters as a pattern
_COUNT_IN_NAME = re.compile(r"(?<!-of)-(\d+)\.tfrec(?:ord)?$")  # in 00000-of-00003, the number counts shards
_RECORDS = "*.tfrec*"  # the usual names of record files
_SHARDS_FOR_TEST = 4  # with fewer, each split would lose too much data to the others


class Shard(NamedTuple):
    """A TFRecord file and its number of records."""

    path: Path
    records: int


def splits_of_files(files: Sequence[str], split: str, eval_fraction: float, test_fraction: float) -> list[str]:
    """Returns the split of each record file, or [] if the records are divided by their hash.

    Args:
      files: the sorted paths.
      split: 'names' takes the split from each file's name; 'shards' holds out the first round(n × test_fraction) files
        for test and the next round(n × eval_fraction) for eval, at least one each; 'hash' divides by record. 'auto' is
        'names' if each name states a split, otherwise 'shards'.
      eval_fraction: between 0 and 1.
      test_fraction: at least 0, less than 1. Without a test split, or with fewer than 4 shards, there are two splits.

    Raises:
      UserError: when a name states no split (for 'names'), or no file is left for train or eval.
    """
    named = [split_in_file_name(file.rpartition("/")[2]) for file in files]
    if split == "hash":
        return []
    if split == "names" or (split == "auto" and all(named)):
        return _named_splits(files, named)
    test = max(1, round(len(files) * test_fraction)) if test_fraction and len(files) >= _SHARDS_FOR_TEST else 0
    held_out = test + max(1, round(len(files) * eval_fraction))
    if held_out >= len(files):
        fewer = "hold out fewer (data.eval_fraction, data.test_fraction) or " if len(files) > 1 else ""
        raise UserError(
            f"{held_out} of {len(files)} shards would be held out for evaluation, so none is left to train on; "
            f"{fewer}split by record (--set data.split=hash)"
        )
    return [TEST] * test + [EVAL] * (held_out - test) + [TRAIN] * (len(files) - held_out)


def _named_splits(files: Sequence[str], named: Sequence[str | None]) -> list[str]:
    """Returns the splits that the names state. If there is no eval split, the test split is used as the eval split."""
    for file, split in zip(files, named, strict=True):
        if split is None:
            raise UserError(
                f"data.split: expected a split in each file name, such as train or validation; received {file}; "
                "rename it, exclude it (data.pattern), or --set data.split=shards"
            )
    splits = [str(split) for split in named]
    if EVAL not in splits:
        splits = [EVAL if split == TEST else split for split in splits]
    if missing := [split for split in (TRAIN, EVAL) if split not in splits]:
        raise UserError(
            f"data.split: expected files for train and eval, no file name states {missing[0]}; rename the files, or "
            "--set data.split=shards"
        )
    return splits


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
