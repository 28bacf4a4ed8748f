"""TFX's `fileio` with S3 and MinIO, which TensorFlow has no file system for.

TFX's own nodes then read and write s3:// and minio:// URIs too: Pusher, for example, pushes to them.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from tfx.dsl.io import fileio, filesystem, filesystem_registry

from storage import s3

__all__ = ["fileio"]
_FIRST = 5  # smaller than the priority of TensorFlow's file systems, so preferred


class _Stat(NamedTuple):
    """A file's size in bytes and time in nanoseconds, with the names of TensorFlow's `FileStatistics`."""

    length: int
    mtime_nsec: int


class _Writer(io.BytesIO):
    """A file that is stored when it is closed, unless an error ended its `with` statement."""

    def __init__(self, uri: str, is_text: bool):
        super().__init__()
        self._uri, self._is_text = uri, is_text

    def write(self, content: Any) -> int:
        return super().write(content.encode() if self._is_text else content)

    def __exit__(self, kind: Any, *error: Any) -> None:
        if kind:
            super().close()
        else:
            self.close()

    def close(self) -> None:
        if not self.closed:
            s3.write(self._uri, self.getvalue())
        super().close()


class S3Filesystem(filesystem.Filesystem):
    """The files of S3 and MinIO buckets. A folder exists if a file is in it."""

    SUPPORTED_SCHEMES = [f"{scheme}://" for scheme in s3.SCHEMES]

    @staticmethod
    def open(name: str, mode: str = "r") -> Any:
        """Returns a file. Its whole content is in memory."""
        if mode in ("w", "wb"):
            return _Writer(name, is_text=mode == "w")
        try:
            content = s3.read(name)
        except FileNotFoundError as error:
            raise fileio.NotFoundError(name) from error
        return io.BytesIO(content) if mode == "rb" else io.StringIO(content.decode())

    @staticmethod
    def exists(path: str) -> bool:
        """Returns whether a file or folder exists."""
        return s3.stat(path) is not None or S3Filesystem.isdir(path)

    @staticmethod
    def isdir(path: str) -> bool:
        """Returns whether a folder contains a file."""
        return next(s3.entries(path), None) is not None

    @staticmethod
    def listdir(path: str) -> list[str]:
        """Returns the names in a folder."""
        return [name for name, _ in s3.entries(path)]

    @staticmethod
    def makedirs(path: str) -> None:
        """Does nothing: buckets have no empty folders."""

    @staticmethod
    def mkdir(path: str) -> None:
        """Does nothing: buckets have no empty folders."""

    @staticmethod
    def remove(path: str) -> None:
        """Deletes a file."""
        s3.remove([path])

    @staticmethod
    def rmtree(path: str) -> None:
        """Deletes a folder."""
        s3.remove([f"{path.rstrip('/')}/{file.name}" for file in s3.files(path)])

    @staticmethod
    def stat(path: str) -> _Stat:
        """Returns a file's size and time."""
        found = s3.stat(path)
        if found is None:
            raise fileio.NotFoundError(path)
        return _Stat(found.size, int(found.time * 1e9))

    @staticmethod
    def walk(
        top: str, topdown: bool = True, onerror: Callable[..., None] | None = None
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Yields (folder, its folders, its files) like `os.walk`, a folder before its content."""
        names = [PurePosixPath(file.name) for file in s3.files(top)]
        folders = sorted({parent for name in names for parent in name.parents})
        for folder in folders:
            inner = [each.name for each in folders if each != folder and each.parent == folder]
            path = top.rstrip("/") if folder == PurePosixPath() else f"{top.rstrip('/')}/{folder}"
            yield path, inner, [name.name for name in names if name.parent == folder]


filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(S3Filesystem, priority=_FIRST)
