"""Keeps a copy of a local folder in a bucket, from which a task in an empty container continues."""

from pathlib import Path

from storage import s3


class Mirror:
    """A folder of this machine and its copy in a bucket.

    Args:
      folder: the local folder.
      uri: the copy's folder, gs://, s3:// or minio://.
    """

    def __init__(self, folder: str, uri: str):
        self.uri, self._folder = uri.rstrip("/"), Path(folder)
        self._copied: dict[str, tuple[int, int]] = {}  # size and time of the local files that the copy has

    def fetch(self) -> None:
        """Copies the bucket's files to the local folder.

        Raises:
          OSError, tensorflow.errors.OpError: when the bucket cannot be read.
        """
        for name in _names(self.uri):
            _download(f"{self.uri}/{name}", self._folder / name)
            self._copied[name] = _version(self._folder / name)

    def save(self, last: str) -> None:
        """Copies new and changed files to the bucket, then deletes there what is no longer in the local folder.

        Each object appears when it is complete. If this is interrupted, the earlier copy of the file `last` is in the
        bucket, with all files that it needs.

        Args:
          last: the file that is copied after all others, because it names them.

        Raises:
          OSError, tensorflow.errors.OpError: when the bucket cannot be written.
        """
        files = {path.relative_to(self._folder).as_posix(): path for path in self._folder.rglob("*") if path.is_file()}
        for name in sorted(files, key=lambda name: (name == last, name)):
            version = _version(files[name])
            if self._copied.get(name) != version:
                _upload(files[name], f"{self.uri}/{name}")
                self._copied[name] = version
        for name in self._copied.keys() - files.keys():
            _remove(f"{self.uri}/{name}")
            del self._copied[name]


def _version(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _names(uri: str) -> list[str]:
    """Returns the names of all files below a folder."""
    if s3.is_s3(uri):
        return [file.name for file in s3.files(uri)]
    from tensorflow.io import gfile

    found = [f"{folder.rstrip('/')}/{name}" for folder, _, names in gfile.walk(uri) for name in names]
    return [path.removeprefix(f"{uri}/") for path in found if not path.endswith("/")]


def _download(uri: str, path: Path) -> None:
    if s3.is_s3(uri):
        s3.download(uri, path)
        return
    from tensorflow.io import gfile

    path.parent.mkdir(parents=True, exist_ok=True)
    gfile.copy(uri, str(path), overwrite=True)


def _upload(path: Path, uri: str) -> None:
    if s3.is_s3(uri):
        s3.upload(path, uri)
        return
    from tensorflow.io import gfile

    gfile.copy(str(path), uri, overwrite=True)


def _remove(uri: str) -> None:
    if s3.is_s3(uri):
        s3.remove([uri])
        return
    from tensorflow.io import gfile

    gfile.remove(uri)
