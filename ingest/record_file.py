"""Reads and writes TFRecord files (shards) without TensorFlow, uncompressed, gzipped or with zlib.

A record (see TensorFlow's `tfrecord` page) is: length (8 bytes, little-endian), masked CRC-32C of the length, data,
masked CRC-32C of the data.
"""

import gzip
import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import google_crc32c

from ingest import regular_file

_HEADER = 12  # bytes: the length and its checksum
_LARGEST = 2**31 - 1  # bytes of a record: the limit of a protobuf message
_GZIP = b"\x1f\x8b"
_CHUNK = 1 << 18  # compressed bytes that are read at once


class Record(NamedTuple):
    """A record of a shard, or the place where the shard cannot be read.

    Attributes:
      number: the position in the shard, counted from 0.
      data: the serialized example; b"" if nothing can be read.
      problem: why the record cannot be used; '' if its checksums are right.
      lost: the estimated number of records after this one that cannot be read.
    """

    number: int
    data: bytes
    problem: str = ""
    lost: int = 0


def write_record(file: BinaryIO, data: bytes) -> None:
    """Appends one record to an uncompressed shard."""
    header = struct.pack("<Q", len(data))
    file.write(header + struct.pack("<I", _masked_crc(header)) + data + struct.pack("<I", _masked_crc(data)))


def read(file: BinaryIO, size: int = 0) -> Iterator[Record]:
    """Yields all records of an open shard, after checking their checksums.

    A record with damaged data has a `problem`, and the next record is read. A damaged length ends the shard, because
    the next record cannot be found.

    Args:
      file: the shard, at its start. Compression is detected.
      size: the length of the file in bytes, from which the number of lost records is estimated; 0 if unknown.

    Raises:
      OSError: when the file cannot be read, such as after a failure of the network; other errors of `file` pass too.
    """
    stream, compressed = _decompressed(file)
    index = position = 0
    while True:
        where = f"at record {index}, byte {position}"
        try:
            header = stream.read(_HEADER)
            if not header:
                return
            length, problem = _length(header)
            data = b"" if problem else stream.read(length + 4)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:  # other OSErrors are not the content's fault
            header, length, data, problem = b"", 0, b"", f"damaged compression ({error})"
        if not problem and len(data) < length + 4:
            problem = "truncated"
        if problem:
            kind = problem if position or problem == "truncated" else f"{problem}; not a TFRecord file"
            rest = 0 if compressed or not index else max(0, round((size - position) / (position / index)) - 1)
            yield Record(index, data, f"{kind} {where}", rest)
            return
        data, checksum = data[:-4], data[-4:]
        wrong = _masked_crc(data) != struct.unpack("<I", checksum)[0]
        yield Record(index, data, f"wrong checksum {where}" if wrong else "")
        index, position = index + 1, position + _HEADER + length + 4


def begins(path: Path) -> bool:
    """Returns whether a file can be read and begins with a record."""
    try:
        record = first(path)
    except OSError:
        return False
    return record is not None and not record.problem


def first(path: Path) -> Record | None:
    """Returns the first record of a local shard; None if the shard is empty.

    Raises:
      OSError: when the file cannot be read.
    """
    with regular_file.opened(path) as file:
        return next(read(file), None)


def count(path: Path, most: int) -> int:
    """Returns the number of records of a local shard, at most `most`. Checks no data, so it reads only 12 bytes each.

    Counts up to the first damaged length. A compressed shard is decompressed.

    Raises:
      OSError: when the file cannot be read.
    """
    found = 0
    with regular_file.opened(path) as file:
        stream, compressed = _decompressed(file)
        if compressed:
            return sum(1 for _, record in zip(range(most), _undamaged(path), strict=False) if record)
        end = path.stat().st_size
        while found < most and len(header := stream.read(_HEADER)) == _HEADER:
            length, problem = _length(header)
            if problem or stream.tell() + length + 4 > end:
                break
            stream.seek(length + 4, io.SEEK_CUR)
            found += 1
    return found


def complete_bytes(file: BinaryIO) -> int:
    """Returns the length of the complete records at the start of a local, uncompressed shard.

    Args:
      file: the shard, at its start; it stays open.

    Raises:
      OSError: when the file cannot be read.
    """
    end = 0
    with os.fdopen(os.dup(file.fileno()), "rb", buffering=0) as copy:  # `read` closes its file
        for record in read(copy):
            if record.problem:
                break
            end += _HEADER + len(record.data) + 4
    return end


def _undamaged(path: Path) -> Iterator[Record]:
    with regular_file.opened(path) as file:
        yield from (record for record in read(file) if not record.problem)


def _length(header: bytes) -> tuple[int, str]:
    """Returns the length of a record and why it cannot be used, or ''."""
    if len(header) < _HEADER:
        return 0, "truncated"
    length, checksum = struct.unpack("<QI", header)
    if _masked_crc(header[:8]) != checksum:
        return 0, "wrong checksum of the length"
    return length, "" if length <= _LARGEST else f"a length of {length:,} bytes (at most {_LARGEST:,})"


def _decompressed(file: BinaryIO) -> tuple[BinaryIO, bool]:
    """Returns a shard's decompressed content, and whether the shard is compressed."""
    buffered = io.BufferedReader(file)  # type: ignore[type-var]
    start = buffered.peek(_HEADER)[:_HEADER]
    if not _length(start)[1]:
        return buffered, False
    if start.startswith(_GZIP):
        return gzip.GzipFile(fileobj=buffered), True  # type: ignore[return-value]
    if len(start) > 1 and start[0] & 0x0F == 8 and int.from_bytes(start[:2]) % 31 == 0:  # RFC 1950, section 2.2
        return io.BufferedReader(_Inflated(buffered)), True
    return buffered, False


class _Inflated(io.RawIOBase):
    """The decompressed content of one or more zlib streams; Python's gzip module reads only gzip."""

    def __init__(self, file: BinaryIO):
        self._file, self._inflate, self._rest = file, zlib.decompressobj(), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            compressed = self._inflate.unconsumed_tail or self._inflate.unused_data or self._file.read(_CHUNK)
            if self._inflate.eof:
                if not compressed:
                    return 0
                self._inflate = zlib.decompressobj()  # joined files
            if not compressed:
                raise EOFError("the zlib stream ends early")
            self._rest = self._inflate.decompress(compressed, len(buffer))
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
