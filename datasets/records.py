"""Writes and checks TFRecord shards without TensorFlow, so that damaged data is named before a run starts.

The framing is the one of TensorFlow's `tfrecord` page: length (8 bytes, little-endian), masked CRC-32C of the
length, data, masked CRC-32C of the data.
"""

import re
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import google_crc32c

from datasets.errors import UserError

_COUNT_IN_NAME = re.compile(r"-(\d+)\.tfrec(?:ord)?$")


class Shard(NamedTuple):
    """One TFRecord file and how many records it holds."""

    path: Path
    records: int


def held_out_shards(shards: int, eval_fraction: float) -> int:
    """Returns how many shards are for evaluation: the nearest number, one at least (16 at 0.19 are the codelab's 3)."""
    return max(1, round(shards * eval_fraction))


def check_folder(directory: Path, pattern: str) -> list[Shard]:
    """Reads every shard of a folder through and returns them sorted by name.

    Raises:
      UserError: naming each missing folder, empty, truncated or corrupted shard, and wrong count.
    """
    if not directory.is_dir():
        raise UserError(f"the data folder {directory} does not exist; give one that holds {pattern} (--data DIR)")
    paths = sorted(path for path in directory.glob(pattern) if path.is_file())
    if not paths:
        there = ", ".join(sorted(path.name for path in directory.iterdir())[:5]) or "nothing"
        raise UserError(
            f"no file in {directory} matches {pattern!r}; it holds: {there}. "
            "Set the pattern (as in --set data.pattern='*.tfrecord') or another folder (--data DIR)"
        )
    shards, problems = [], []
    for path in paths:
        try:
            shards.append(Shard(path, count_records(path)))
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
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
