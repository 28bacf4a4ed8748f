"""Writes the files of `--keep`: private, complete, and together never larger than the limit.

Each worker writes to a file of its own, which is locked while the worker lives. A file whose lock is free belongs to a
worker that was killed; the next worker that starts or opens a file completes it.
"""

import fcntl
import io
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from errors import UserError
from ingest import record_file
from ingest.kept import CLOSED, OPEN, START

_FILE_BYTES = 64 * 2**20  # of a file, at most
_FILE_S = 3600.0  # until a file is closed
_FILES = 4  # for each worker at least, so that removing the oldest keeps most of the sample


class TooLarge(Exception):
    """The record is larger than a file may be."""


def prepare(folder: Path) -> None:
    """Makes the folder of `--keep`, for this user only; an existing folder is unchanged.

    Raises:
      UserError: when it cannot be made, or no file can be written into it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"--keep: cannot write to {folder}: {error.strerror}; give another folder") from None


class KeptFiles:
    """The files of one worker. One thread calls its methods."""

    def __init__(self, folder: Path, most_bytes: int, workers: int):
        """Completes the files of killed workers.

        Args:
          folder: an existing folder.
          most_bytes: the largest size of all files of all workers.
          workers: the number of workers that share the folder.

        Raises:
          OSError: when the folder cannot be read.
        """
        self._folder = folder
        self._file_bytes = min(_FILE_BYTES, most_bytes // (_FILES * workers))
        self._most_closed = most_bytes - workers * self._file_bytes  # so that each worker has room for a file
        self._file: BinaryIO | None = None
        self._path = folder
        self._size, self._opened = 0, 0.0
        self.removed = 0  # files
        self._make_room()

    def write(self, data: bytes) -> None:
        """Appends a record. After an error, the file ends with the record before it.

        Raises:
          OSError: when the disk is full, or a file cannot be written.
          TooLarge: when the record is larger than a file may be.
        """
        framed = io.BytesIO()
        record_file.write_record(framed, data)
        content = framed.getvalue()
        if len(content) > self._file_bytes:
            raise TooLarge
        was_deleted = self._file and not _is_at(self._file.fileno(), self._path)
        if was_deleted or self._size + len(content) > self._file_bytes:
            self.close()
        file = self._file or self._open()
        try:
            _write_all(file, content)
        except OSError:
            os.ftruncate(file.fileno(), self._size)
            os.lseek(file.fileno(), self._size, os.SEEK_SET)
            raise
        self._size += len(content)

    def close_if_old(self) -> None:
        """Closes the file if it was opened an hour ago."""
        if self._file and time.monotonic() - self._opened > _FILE_S:
            self.close()

    def close(self) -> None:
        """Completes the file, unless it was deleted, and gives it its name; the next record opens another."""
        if self._file:
            file, self._file = self._file, None
            with file:
                if _is_at(file.fileno(), self._path):
                    _complete(self._path, self._size)
        self._size = 0

    def _open(self) -> BinaryIO:
        self._make_room()
        while True:
            self._path = self._folder / f"{START}{_stamp()}{secrets.token_hex(2)}{OPEN}"
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, self._path):  # otherwise another worker took the empty file for an abandoned one
                break
            os.close(descriptor)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        self._size, self._opened = 0, time.monotonic()
        return self._file

    def _make_room(self) -> None:
        """Completes the files of killed workers, then removes the oldest files above the limit."""
        for path in self._folder.glob(f"{START}*{OPEN}"):
            with suppress(OSError), _abandoned(path) as file:  # an error of one file stops no server
                if file:
                    size = record_file.complete_bytes(file)
                    os.ftruncate(file.fileno(), size)
                    _complete(path, size)
        closed = [(path, _size(path)) for path in sorted(self._folder.glob(f"{START}*{CLOSED}"))]
        closed = [(path, size) for path, size in closed if size]
        total = sum(size for _, size in closed)
        for path, size in closed:
            if total <= self._most_closed:
                break
            with suppress(PermissionError):  # another user's
                path.unlink(missing_ok=True)  # another worker may have removed it
                total -= size
                self.removed += 1


@contextmanager
def _abandoned(path: Path) -> Iterator[BinaryIO | None]:
    """Yields the file, locked, if no worker writes to it; otherwise None. A link is not followed."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)  # O_NONBLOCK: a pipe has no other end
    except OSError:  # its worker has closed it; or it is a link, a folder or another user's
        yield None
        return
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            yield None
            return
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield file if _is_at(file.fileno(), path) else None
            return
        yield None


def _stamp() -> str:
    """Returns the time with nanoseconds, such as 20240131T120000Z-123456789, so that names sort by age."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(seconds))}-{nanoseconds:09d}"


def _size(path: Path) -> int:
    """Returns the size of a file; 0 for a folder or a link, which are not the server's."""
    with suppress(FileNotFoundError):  # another worker has removed it
        found = path.lstat()
        return found.st_size if stat.S_ISREG(found.st_mode) else 0
    return 0


def _is_at(descriptor: int, path: Path) -> bool:
    """Returns whether an open file still has this path."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    return False


def _complete(path: Path, size: int) -> None:
    if size:
        path.replace(path.with_name(path.name.removesuffix(OPEN) + CLOSED))
    else:
        path.unlink()


def _write_all(file: BinaryIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(file.fileno(), rest) :]
